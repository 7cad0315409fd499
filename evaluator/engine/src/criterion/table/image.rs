//! Criteria about images: what they are called, what is in them, what a scan found.

use crate::criterion::Allows::{Many, ManyAlternatives, NegatedMany, One};
use crate::criterion::Extract::{Component, Container, Layer, Vulnerability};
use crate::criterion::Sentence::{Always, ByCount, Element, ElementWith, ImageName, YesNo};
use crate::criterion::extract::image;
use crate::criterion::{CriterionGroup, DataField, Detail, Extra, Family, Operator, names, row};
use crate::matcher::Form;

const NOT_VERIFIED: &str = "the signature of {image} is not verified by any required integration";
const VERIFIED_BY_OTHERS: &str = "the signature of {image} is not verified by any required integration, only by \
                 {value}";

pub(super) static REGISTRY: CriterionGroup = CriterionGroup {
    title: "Image registry",
    criteria: &[
        row(Family::Image, "Image Registry")
            .about("the registry of a container's image, such as `docker.io`")
            .value(Container(image::registry), Operator::Regex, Form::Text, NegatedMany)
            .sentence(ImageName { part: "registry `{value}`", empty: "registry ``" }),
        row(Family::Image, "Image Remote")
            .about("the repository of a container's image, such as `library/nginx`")
            .value(Container(image::remote), Operator::Regex, Form::Text, NegatedMany)
            .sentence(ImageName { part: "remote `{value}`", empty: "remote ``" }),
        row(Family::Image, "Image Tag")
            .about("the tag of a container's image; empty when it is named by digest alone")
            .value(Container(image::tag), Operator::Regex, Form::Text, NegatedMany)
            .sentence(ImageName { part: "tag `{value}`", empty: "an empty tag and digest `{digest}`" }),
        row(Family::Image, "Image Signature Verified By")
            .about(
                "the integrations that verified the image's signature; violated when none of those \
                 named did",
            )
            .value(
                Container(image::verifiers),
                Operator::NoneVerified,
                Form::SignatureIntegration,
                ManyAlternatives,
            )
            .sentence(ByCount { none: NOT_VERIFIED, one: VERIFIED_BY_OTHERS, several: VERIFIED_BY_OTHERS }),
    ],
};

pub(super) static CONTENTS: CriterionGroup = CriterionGroup {
    title: "Image contents",
    criteria: &[
        row(Family::Image, "Image Age")
            .about("when the image was built; violated when that is more days ago")
            .value(Container(image::created), Operator::Age, Form::Digits, One)
            .sentence(Always("{image} was created at {value} (UTC)")),
        row(Family::Image, "Image User")
            .about("the user the image runs as; `root` when its configuration names none")
            .value(Container(image::user), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Always("{image} runs as user `{value}`")),
        row(Family::Image, "Dockerfile Line")
            .about("each line of the image's history: instruction and value")
            .value(Layer(image::layer), Operator::Parts(2), Form::DockerfileLine, Many)
            .sentence(Element),
        row(Family::Image, "Image Component")
            .about("each package in the image: name and version")
            .value(Component(image::component), Operator::Parts(2), Form::KeyValue, Many)
            .sentence(Element),
        row(Family::Image, "Image OS")
            .about("the operating system of the image, such as `debian:12`")
            .value(Container(image::operating_system), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Always("{image} is based on `{value}`")),
        row(Family::Image, "Required Image Label")
            .about("the image's labels; violated when no label matches any of the values")
            .value(Container(image::labels), Operator::Required, Form::KeyValue, Many)
            .sentence(Always("{image} lacks a required label (found labels: {value})"))
            .extra(Extra { parity_field: DataField::ImageLabel, ..Extra::NONE }),
        row(Family::Image, "Disallowed Image Label")
            .about("the image's labels; violated when a label matches")
            .value(Container(image::labels), Operator::Disallowed, Form::KeyValue, Many)
            .sentence(Always("{image} has disallowed labels: {value}"))
            .extra(Extra { parity_field: DataField::ImageLabel, ..Extra::NONE }),
    ],
};

pub(super) static SCANNING: CriterionGroup = CriterionGroup {
    title: "Image scanning",
    criteria: &[
        row(Family::Image, "Image Scan Age")
            .about("when the image was last scanned; violated when that is more days ago")
            .value(Container(image::scan_time), Operator::Age, Form::Digits, One)
            .sentence(Always("{image} was last scanned at {value} (UTC)")),
        row(Family::Image, "Unscanned Image")
            .about("whether the image was never scanned")
            .value(Container(image::unscanned), Operator::Bool, Form::GoBool, One)
            .sentence(YesNo("{image} has not been scanned", "{image} has been scanned")),
        row(Family::Image, "CVE")
            .about("the id of each vulnerability that is neither deferred nor a false positive")
            .value(Vulnerability(image::cve), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Element)
            .extra(Extra { standing: true, ..Extra::NONE }),
        row(Family::Image, "CVSS")
            .about("the score of each such vulnerability, 0 to 10")
            .value(Vulnerability(image::cvss), Operator::Float, Form::Comparison, Many)
            .sentence(Element)
            .extra(Extra { standing: true, ..Extra::NONE }),
        row(Family::Image, "NVD CVSS")
            .about("the NVD's score of each such vulnerability, 0 to 10; 0 when it gives none")
            .value(Vulnerability(image::nvd_cvss), Operator::Float, Form::Comparison, Many)
            .sentence(ElementWith(Detail::NvdScore))
            .extra(Extra { standing: true, ..Extra::NONE }),
        row(Family::Image, "Severity")
            .about("the severity of each such vulnerability")
            .value(
                Vulnerability(image::severity),
                Operator::Enum(names::SEVERITIES),
                Form::NameComparison(names::SEVERITIES),
                Many,
            )
            .sentence(Element)
            .extra(Extra { standing: true, ..Extra::NONE }),
        row(Family::Image, "Fixable")
            .about("whether a version fixes such a vulnerability")
            .value(Vulnerability(image::fixable), Operator::Bool, Form::GoBool, One)
            .sentence(ElementWith(Detail::Fix))
            .extra(Extra { standing: true, parity_field: DataField::FixedBy, ..Extra::NONE }),
        row(Family::Image, "Fixed By")
            .about("the version that fixes such a vulnerability; `.*` means that there is one")
            .value(Vulnerability(image::fixed_by), Operator::RegexSome, Form::Text, NegatedMany)
            .sentence(ElementWith(Detail::Fix))
            .extra(Extra { standing: true, parity_field: DataField::FixedBy, ..Extra::NONE }),
        row(Family::Image, "Days Since CVE Was Published")
            .about("when each vulnerability was published; violated when that is more days ago")
            .value(Vulnerability(image::published), Operator::Age, Form::Digits, One)
            .sentence(Element),
        row(Family::Image, "Days Since CVE Fix Was Available")
            .about(
                "since when a fix for each vulnerability is available; violated when that is more \
                 days ago",
            )
            .value(Vulnerability(image::fix_available), Operator::Age, Form::Digits, One)
            .sentence(Element),
        row(Family::Image, "Days Since CVE Was First Discovered In Image")
            .about(
                "when each vulnerability was first seen in this image; violated when that is more \
                 days ago",
            )
            .value(Vulnerability(image::first_in_image), Operator::Age, Form::Digits, One)
            .sentence(Element),
        row(Family::Image, "Days Since CVE Was First Discovered In System")
            .about("when each vulnerability was first seen anywhere; violated when that is more days ago")
            .value(Vulnerability(image::first_in_system), Operator::Age, Form::Digits, One)
            .sentence(Element),
    ],
};
