"""What a column holds of a person, by a term of a taxonomy, and what never leaves the system.

A label says what the column holds, and not whose it is: that is what the data map finds out row by row.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool

from olvido.core.errors import did_you_mean
from olvido.sinks.section import SectionPart

# Those data categories of Fides 3.2 that are about the person, without the ones that it has replaced; each
# level below `user` with what stands below it. Two are spelt as Fides spells them.
_BELOW: Mapping[str, str] = {
    "account": "username",
    "authorization": "biometrics credentials password",
    "behavior": "browsing_history media_consumption purchase_history search_history",
    "biometrics": "fingerprint retinal voice",
    "children": "children_under_thirteen thirteen_to_sixteen",
    "contact": "address address.city address.country address.mailing_address address.postal_code "
    "address.state address.street email fax_number phone_number social_url",
    "content": "private public self_image",
    "criminal_history": "",
    "demographic": "age_range citizenship_or_immigration_status date_of_birth gender language "
    "marital_status philosophical_belief political_opinion profile protected_classifications "
    "race_ethnicity religious_belief sexual_orientation union_membership",
    "device": "cookie cookie_id device_id ip_address sensor telemetry",
    "financial": "bank_account credit_card",
    "government_id": "birth_certificate drivers_license_number immigration national_identification_number "
    "passport_number vehicle_registration",
    "health": "baby_formula condition genetic insurance_beneficiary_id maternity_clothing medical_diagnosis "
    "medications prescriptions record_id reproductive_or_sexual social_psychological_behavioral symptons "
    "treatment",
    "location": "coarse precise",
    "name": "first last",
    "payment": "",
    "privacy_preferences": "",
    "professional_information": "job_title workplace",
    "settings": "",
    "social_activity": "",
    "unique_id": "deterministic probablistic",
}
LABELS = tuple(
    ".".join(("user", first, *below))
    for first, terms in _BELOW.items()
    for below in ((), *((term,) for term in terms.split()))
)


def _known(label: str) -> str:
    if label not in LABELS:
        raise ValueError(f"is no data category of a person{did_you_mean(label, LABELS)}")
    return label


Label = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": [*LABELS]})]


class Origin(StrEnum):
    """Where a column's values come from. Portability (GDPR art. 20) is about what the person provided."""

    PROVIDED = "provided"  # by the person, or observed of what they did
    INFERRED = "inferred"  # by the controller, from other data


class LabelledColumn(SectionPart):
    """A column with its label, or a secret one."""

    label: Label | None = None
    origin: Origin | None = None
    secret: StrictBool = False  # it never leaves the system: a password, a token


def _labelled(value: object) -> object:
    return {"label": value} if isinstance(value, str) else value


Labelled = Annotated[
    LabelledColumn, BeforeValidator(_labelled, json_schema_input_type=Label | LabelledColumn)
]
