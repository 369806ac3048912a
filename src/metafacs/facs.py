"""The vocabulary of the Facial Action Coding System (FACS): action units, AU sets, expressions, prototypes.

Codes, names and muscles follow Ekman and Friesen (1978) and the 2002 edition with Hager. Codes below 50 act
on the face, the others are positions of head and eyes, visibility codes and gross behaviours; FACS names no
muscle for most of the latter. Movement codes that FACS writes with an M (M59, M83...) are not listed.
"""

import re
from dataclasses import dataclass

from metafacs.errors import InputError

PRESENT_FROM = 2
"""An AU counts as present from this FACS intensity on (0 absent, 1 = A trace, 2 = B ... 5 = E maximum)."""

INTENSITY_MAX = 5
"""The largest FACS intensity (E)."""


@dataclass(frozen=True)
class ActionUnit:
    """One FACS code.

    Attributes:
        code: the FACS number.
        name: the FACS name, with a capital.
        description: what one sees.
        muscles: the muscles that do it, comma-separated; empty where FACS names none.
        region: "forehead", "eyes", "nose", "cheeks", "mouth", "chin", "jaw", "neck", "head", "gaze",
            "visibility" or "gross" (behaviour).
    """

    code: int
    name: str
    description: str
    muscles: str
    region: str


_FACE = (
    (1, "Inner brow raiser", "inner ends of the brows go up, wrinkles in the middle of the forehead",
     "frontalis (pars medialis)", "forehead"),
    (2, "Outer brow raiser", "outer ends of the brows go up, brows arch, wrinkles over their outer part",
     "frontalis (pars lateralis)", "forehead"),
    (4, "Brow lowerer", "brows go down and together, vertical furrows between them",
     "corrugator supercilii, depressor supercilii, depressor glabellae (procerus)", "forehead"),
    (5, "Upper lid raiser", "upper lids go up, eyes widen, more of the iris or of the white above it shows",
     "levator palpebrae superioris, superior tarsal muscle", "eyes"),
    (6, "Cheek raiser", "cheeks go up, eye openings narrow from below, crow's feet",
     "orbicularis oculi (pars orbitalis)", "cheeks"),
    (7, "Lid tightener", "lower lids tighten and go up, eyes narrow to a squint",
     "orbicularis oculi (pars palpebralis)", "eyes"),
    (8, "Lips toward each other", "lips move toward each other while the jaw or the teeth are open",
     "orbicularis oris", "mouth"),
    (9, "Nose wrinkler", "skin along the nose goes up, wrinkles across its root, nostril wings lift",
     "levator labii superioris alaeque nasi", "nose"),
    (10, "Upper lip raiser", "upper lip goes up, most in its middle, and bends; upper teeth may show",
     "levator labii superioris (caput infraorbitalis)", "mouth"),
    (11, "Nasolabial deepener", "the furrow from nostril to mouth deepens in its middle part",
     "zygomaticus minor", "cheeks"),
    (12, "Lip corner puller", "lip corners go up and out along the cheek, as in a smile",
     "zygomaticus major", "mouth"),
    (13, "Sharp lip puller", "lip corners go sharply up, cheeks puff above them",
     "levator anguli oris (caninus)", "mouth"),
    (14, "Dimpler", "lip corners tighten and draw in, with a dimple or wrinkle beside them",
     "buccinator", "mouth"),
    (15, "Lip corner depressor", "lip corners go down, the mouth bends downwards",
     "depressor anguli oris (triangularis)", "mouth"),
    (16, "Lower lip depressor", "lower lip goes down and flattens, lower teeth may show",
     "depressor labii inferioris", "mouth"),
    (17, "Chin raiser", "chin boss goes up and wrinkles, pushing the lower lip up",
     "mentalis", "chin"),
    (18, "Lip pucker", "lips draw together and forward, as for a kiss",
     "incisivus labii superioris, incisivus labii inferioris", "mouth"),
    (19, "Tongue show", "the tongue reaches the lips or beyond", "", "mouth"),
    (20, "Lip stretcher", "lip corners go straight out to the sides, the mouth becomes long and flat",
     "risorius with platysma", "mouth"),
    (21, "Neck tightener", "skin of the neck tightens, cords and ridges show",
     "platysma", "neck"),
    (22, "Lip funneler", "lips open into a funnel and turn outwards, as when saying 'oh'",
     "orbicularis oris", "mouth"),
    (23, "Lip tightener", "lips tighten and narrow, their red parts look thinner",
     "orbicularis oris", "mouth"),
    (24, "Lip pressor", "lips press against each other", "orbicularis oris", "mouth"),
    (25, "Lips part", "lips part, teeth or the inside of the mouth may show",
     "depressor labii inferioris, or relaxed mentalis or orbicularis oris", "mouth"),
    (26, "Jaw drop", "the jaw drops as if relaxed, a gap between the teeth",
     "masseter, relaxed temporalis and internal pterygoid", "jaw"),
    (27, "Mouth stretch", "the mouth is pulled wide open, cheeks stretch flat",
     "pterygoids, digastric", "jaw"),
    (28, "Lip suck", "lips roll in over the teeth", "orbicularis oris", "mouth"),
    (29, "Jaw thrust", "the lower jaw is pushed forward", "", "jaw"),
    (30, "Jaw sideways", "the lower jaw is pushed to one side", "", "jaw"),
    (31, "Jaw clencher", "teeth clench, the jaw muscle bulges in front of the ear", "masseter", "jaw"),
    (32, "Lip bite", "the teeth bite a lip", "", "mouth"),
    (33, "Blow", "cheeks swell while air is blown out between the lips", "", "cheeks"),
    (34, "Puff", "cheeks swell with air behind closed lips", "", "cheeks"),
    (35, "Cheek suck", "cheeks are sucked in between the teeth", "", "cheeks"),
    (36, "Tongue bulge", "the tongue bulges a cheek or a lip from inside", "", "cheeks"),
    (37, "Lip wipe", "the tongue wipes a lip", "", "mouth"),
    (38, "Nostril dilator", "nostrils widen", "nasalis (pars alaris)", "nose"),
    (39, "Nostril compressor", "nostrils narrow", "nasalis (pars transversa), depressor septi nasi", "nose"),
    (40, "Sniff", "air is drawn in through the nose with a jerk", "", "gross"),
    (41, "Lid droop", "upper lids droop a little (1978; since 2002 a weak AU43)",
     "relaxed levator palpebrae superioris", "eyes"),
    (42, "Slit", "eyes are open to a slit, lids relaxed (1978; since 2002 a strong AU43 short of closing)",
     "relaxed levator palpebrae superioris", "eyes"),
    (43, "Eyes closed", "upper lids come down without tension and stay closed for half a second or more",
     "relaxed levator palpebrae superioris", "eyes"),
    (44, "Squint", "lids of both eyes draw together with tension (1978; since 2002 a strong AU7)",
     "orbicularis oculi (pars palpebralis)", "eyes"),
    (45, "Blink", "both eyes close and open again at once",
     "relaxed levator palpebrae superioris, orbicularis oculi (pars palpebralis)", "eyes"),
    (46, "Wink", "one eye closes and opens again", "orbicularis oculi", "eyes"),
)  # fmt: skip

_OTHER = (
    (50, "Speech", "the person speaks", "gross"),
    (51, "Head turn left", "the head turns to the person's left", "head"),
    (52, "Head turn right", "the head turns to the person's right", "head"),
    (53, "Head up", "the head is raised, chin up", "head"),
    (54, "Head down", "the head is lowered, chin down", "head"),
    (55, "Head tilt left", "the head tilts toward the person's left shoulder", "head"),
    (56, "Head tilt right", "the head tilts toward the person's right shoulder", "head"),
    (57, "Head forward", "the head is thrust forward", "head"),
    (58, "Head back", "the head is pulled back", "head"),
    (61, "Eyes turn left", "the eyes look to the person's left", "gaze"),
    (62, "Eyes turn right", "the eyes look to the person's right", "gaze"),
    (63, "Eyes up", "the eyes look up", "gaze"),
    (64, "Eyes down", "the eyes look down", "gaze"),
    (65, "Walleye", "the eyes diverge", "gaze"),
    (66, "Cross-eye", "the eyes converge on something near", "gaze"),
    (69, "Eyes positioned to look at other person", "the eyes look at another person", "gaze"),
    (70, "Brows and forehead not visible", "brows and forehead cannot be seen", "visibility"),
    (71, "Eyes not visible", "the eyes cannot be seen", "visibility"),
    (72, "Lower face not visible", "the lower face cannot be seen", "visibility"),
    (73, "Entire face not visible", "the face cannot be seen", "visibility"),
    (74, "Unscorable", "the face can be seen but not scored", "visibility"),
    (80, "Swallow", "the person swallows", "gross"),
    (81, "Chewing", "the person chews", "gross"),
    (82, "Shoulder shrug", "the shoulders go up", "gross"),
    (84, "Head shake back and forth", "the head shakes from side to side, as for 'no'", "gross"),
    (85, "Head nod up and down", "the head nods, as for 'yes'", "gross"),
    (91, "Flash", "an expression comes and goes in an instant", "gross"),
    (92, "Partial flash", "part of an expression comes and goes in an instant", "gross"),
    (97, "Shiver or tremble", "the face or head shivers", "gross"),
    (98, "Fast up-down look", "the eyes look someone up and down", "gross"),
)

ACTION_UNITS: dict[int, ActionUnit] = {
    **{entry[0]: ActionUnit(*entry) for entry in _FACE},
    **{code: ActionUnit(code, name, text, "", region) for code, name, text, region in _OTHER},
}
"""Every FACS action unit, action descriptor and position code, by number."""

AU_SETS: dict[str, tuple[int, ...]] = {
    "bp4d": (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24),
    "bp4d_intensity": (6, 10, 12, 14, 17),
    "disfa": (1, 2, 4, 6, 9, 12, 25, 26),
    "disfa_all": (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26),
    "gft": (1, 2, 4, 6, 10, 12, 14, 15, 23, 24),
}
"""Names for lists of AUs that many papers share, each in its order; a dataset's own list stands in its `Protocol`."""

EXPRESSIONS: tuple[str, ...] = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
"""The facial expressions, in the order of votes and class indices."""

EMFACS: dict[str, tuple[int, ...]] = {
    "neutral": (),
    "happiness": (6, 12),
    "surprise": (1, 2, 5, 26),
    "sadness": (1, 4, 15),
    "anger": (4, 5, 7, 23),
    "disgust": (9, 15),
    "fear": (1, 2, 4, 5, 7, 20, 25),
}
"""The prototype AUs of each expression (EMFACS)."""

EMFACS_OPTIONAL: dict[str, tuple[int, ...]] = {
    "neutral": (),
    "happiness": (25,),
    "surprise": (),
    "sadness": (17,),
    "anger": (24,),
    "disgust": (10, 17),
    "fear": (),
}
"""AUs that often join the prototype; for anger, AU24 may stand in for AU23."""

_COLUMN = re.compile(r"(?:AU)?0*([0-9]{1,2})", re.IGNORECASE)


def au_column(code: int) -> str:
    """The table column of an AU.

    Raises:
        InputError: `code` is not a FACS code.

    Example:
        >>> au_column(1)
        'AU01'
    """
    if code not in ACTION_UNITS:
        raise InputError(f"{code} is not a FACS action unit; known: {_codes()}")
    return f"AU{code:02d}"


def au_code(column: str) -> int:
    """The FACS number of a column or of any usual way to write an AU ("AU01", "AU1", "1").

    Raises:
        InputError: `column` names no FACS code.

    Example:
        >>> au_code("AU01")
        1
    """
    match = _COLUMN.fullmatch(column.strip())
    if match is None or int(match[1]) not in ACTION_UNITS:
        raise InputError(f"'{column}' names no FACS action unit; known: {_codes()}")
    return int(match[1])


def au_title(column: str) -> str:
    """How figures and tables name an AU column.

    Example:
        >>> au_title("AU01")
        'AU1'
    """
    return f"AU{au_code(column)}"


def intensity_column(column: str) -> str:
    """The column that holds the intensity (0-5) of an AU column.

    Example:
        >>> intensity_column("AU01")
        'AU01_intensity'
    """
    return f"{au_column(au_code(column))}_intensity"


def parse_aus(text: str) -> list[str]:
    """Reads a set's name or a comma-separated list of AUs into columns, keeping the order.

    Raises:
        InputError: the list is empty, names something unknown, or names an AU twice.

    Example:
        >>> parse_aus("1, 2, AU4")
        ['AU01', 'AU02', 'AU04']
        >>> parse_aus("disfa")[-1]
        'AU26'
    """
    if text.strip().lower() in AU_SETS:
        return [au_column(code) for code in AU_SETS[text.strip().lower()]]
    parts = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [part for part in parts if not _names_au(part)]
    if unknown or not parts:
        fault = f"unknown AUs: {', '.join(unknown)}" if unknown else "the list of AUs is empty"
        sets = ", ".join(AU_SETS)
        raise InputError(f"{fault}; give one of the sets {sets}, or a list like '1,2,AU4' of {_codes()}")
    columns = [au_column(au_code(part)) for part in parts]
    twice = sorted({au_title(column) for column in columns if columns.count(column) > 1})
    if twice:
        raise InputError(f"named more than once in '{text}': {', '.join(twice)}; name each AU once")
    return columns


def _names_au(text: str) -> bool:
    match = _COLUMN.fullmatch(text)
    return match is not None and int(match[1]) in ACTION_UNITS


def _codes() -> str:
    return ", ".join(str(code) for code in ACTION_UNITS)
