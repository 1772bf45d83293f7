"""What a phantom corpus is made by: `configs/phantom/*.yaml`, checked."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: The findings in the order in which they are drawn: what a finding depends on comes before it.
DRAWN: Final = (
    "Support Devices", "Cardiomegaly", "Edema", "Pneumonia", "Consolidation", "Lung Lesion", "Pneumothorax",
    "Pleural Effusion", "Atelectasis", "Lung Opacity", "Enlarged Cardiomediastinum", "Pleural Other", "Fracture",
)  # fmt: skip
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FindingModel(_Strict):
    """How often a finding is there, and what becomes of it."""

    share: Share = Field(description="Share of first studies with the finding, among patients with any and no other.")
    odds: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="By what a finding that is there multiplies the odds of this one."
    )
    resolves: Share = Field(default=0.25, description="Share of follow-up studies in which it is gone.")
    grows: Share = Field(default=0.15, description="Share of follow-up studies in which it is larger.")
    shrinks: Share = Field(default=0.2, description="Share of follow-up studies in which it is smaller.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.resolves + self.grows + self.shrinks > 1:
            raise ValueError("resolves, grows and shrinks are together more than 1")
        return self


class Scanner(_Strict):
    """The habits of one vendor's headers."""

    manufacturer: str = Field(description="Manufacturer, as written in the header.")
    model: str = Field(description="Manufacturer's model name.")
    software: str = Field(description="Software version.")
    weight: float = Field(default=1.0, gt=0, description="How many studies it makes, relative to the others.")
    modality: Literal["DX", "CR"] = Field(description="DX (digital) or CR (plates): which kind of object is written.")
    photometric: list[Literal["MONOCHROME1", "MONOCHROME2"]] = Field(
        min_length=1, description="Polarities that it writes; one is drawn for each film."
    )
    bits: list[Annotated[int, Field(ge=8, le=16)]] = Field(min_length=1, description="Bits stored; one is drawn.")
    syntaxes: list[Literal["explicit", "implicit", "rle", "jpegls", "jpeg2000"]] = Field(
        min_length=1, description="Transfer syntaxes; one is drawn for each study."
    )
    view_in: Literal["ViewPosition", "SeriesDescription", "PatientOrientation"] = Field(
        description="The attribute that tells the view. ViewPosition is left out unless it is this one."
    )
    window: Literal["values", "sigmoid", "sequence", "none"] = Field(
        description="How the display is given: window values, with the function SIGMOID, a VOI LUT, or not at all."
    )
    modality_lut: Literal["none", "rescale", "sequence"] = Field(
        default="none", description="Modality LUT of a CR object: none, slope and intercept, or a sequence."
    )
    padding: bool = Field(default=False, description="Whether the collimated border is marked as padding.")


class PhiModel(_Strict):
    """How much invented identity is planted."""

    text: Share = Field(description="Share of reports with a name, an id, a telephone number or a date in them.")
    pixels: Share = Field(description="Share of studies whose films have the patient's name or id burned in.")
    comment: Share = Field(description="Share of films with a name in a free-text or private attribute.")


class ReportingModel(_Strict):
    """How reports deal with what is there."""

    uncertain: Share = Field(description="Share of findings that are there of which the report is not sure.")
    omitted: Share = Field(description="Share of findings that are there that the report leaves out.")
    doubted: Share = Field(description="Share of reports that leave a finding open that is not there.")
    distractor: Share = Field(description="Share of reports with a sentence on something that is no label.")


class ChestModel(_Strict):
    """Patients, films and findings of a phantom corpus."""

    first_year: int = Field(ge=1990, le=2100, description="Year of the earliest study.")
    years: int = Field(ge=5, le=40, description="Over how many calendar years studies are spread.")
    studies: list[Annotated[float, Field(ge=0)]] = Field(
        min_length=1, description="Weights of one, two, three ... studies for a patient."
    )
    female: Share = Field(description="Share of female patients.")
    children: Share = Field(description="Share of patients under 18.")
    lateral: Share = Field(description="Share of studies with a lateral film beside the PA film.")
    portable: Share = Field(
        description="Share of studies taken as a portable AP film alone; more with tubes and lines."
    )
    healthy: Share = Field(description="Share of patients whose first study has no finding but perhaps a device.")
    healthy_device: Share = Field(description="Share of those with a device.")
    new_finding: Share = Field(description="By what the shares of findings are multiplied in a follow-up study.")
    findings: dict[str, FindingModel] = Field(description="The 13 findings of CheXpert.")
    scanners: list[Scanner] = Field(min_length=1, description="Vendors; a patient stays with one.")
    phi: PhiModel = Field(description="Planted identity.")
    reporting: ReportingModel = Field(description="How reports deal with what is there.")

    @model_validator(mode="after")
    def _all_findings(self) -> Self:
        if set(self.findings) != set(DRAWN):
            raise ValueError(f"must be exactly: {', '.join(DRAWN)}")
        before: set[str] = set()
        for name in DRAWN:
            late = set(self.findings[name].odds) - before
            if late:
                raise ValueError(
                    f"{name} can only depend on findings drawn before it, not on {', '.join(sorted(late))}"
                )
            before.add(name)
        if not any(self.studies):
            raise ValueError("studies: every weight is 0")
        return self


class PeopleModel(_Strict):
    """Invented people and places, of which identities are made."""

    family: list[str] = Field(min_length=1, description="Family names.")
    female: list[str] = Field(min_length=1, description="Given names of women.")
    male: list[str] = Field(min_length=1, description="Given names of men.")
    doctors: list[str] = Field(min_length=1, description="Physicians: family, given.")
    institutions: list[str] = Field(min_length=1, description="Hospitals.")
    departments: list[str] = Field(min_length=1, description="Departments.")
    streets: list[str] = Field(min_length=1, description="Streets.")
    towns: list[str] = Field(min_length=1, description="Towns.")
