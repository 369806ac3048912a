"""Networks: any timm backbone with an AU head and an expression head."""
