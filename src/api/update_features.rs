//! UpdateFeatures (57), versions 0 to 2: which levels of features are in force (KIP-584). All updates of a request hold, or none does.

use super::Call;
use crate::controller::{Command, Refusal, Reply};
use crate::model::ErrorCode;
use crate::protocol::StrBytes;
use crate::protocol::generated::update_features_request::UpdateFeaturesRequest;
use crate::protocol::generated::update_features_response::{UpdatableFeatureResult, UpdateFeaturesResponse};
use std::rc::Rc;

pub(super) async fn handle(call: Rc<Call>, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let (request, names) = call
        .compute(false, move || {
            let names: Vec<_> = request.feature_updates.iter().map(|update| update.feature.clone()).collect();
            (request, names)
        })
        .await;
    let outcome = match call.decide(Command::UpdateFeatures(request)).await {
        Ok(Reply::UpdateFeatures(outcome)) => outcome,
        Ok(other) => unreachable!("UpdateFeatures was answered with {other:?}"),
        Err(undecided) => Err(undecided.refusal()),
    };
    // Since version 2 (KIP-1022) a success is not told of each feature; an error never was of one alone.
    let tells_each = call.version() < 2;
    call.compute(false, move || answer(outcome, names, tells_each)).await
}

fn answer(outcome: Result<(), Refusal>, names: Vec<StrBytes>, tells_each: bool) -> UpdateFeaturesResponse {
    let result = |feature| UpdatableFeatureResult {
        feature,
        error_code: ErrorCode::None.code(),
        error_message: Some(StrBytes::from_static(ErrorCode::None.name())),
    };
    match outcome {
        Ok(()) => UpdateFeaturesResponse {
            error_message: None,
            results: names.into_iter().filter(|_| tells_each).map(result).collect(),
            ..Default::default()
        },
        Err(Refusal(code, text)) => {
            UpdateFeaturesResponse { error_code: code.code(), error_message: text.map(Into::into), ..Default::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_told_of_each_feature_before_version_2_and_an_error_once() {
        let names = || vec![StrBytes::from("a"), StrBytes::from("b")];
        let told = |tells_each| answer(Ok(()), names(), tells_each);
        assert_eq!(told(true).results.iter().map(|result| &*result.feature).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((told(true).error_code, told(false).error_message, told(false).results), (0, None, vec![]));
        let refused = answer(Err(Refusal::new(ErrorCode::InvalidUpdateVersion, "why")), names(), true);
        assert_eq!((refused.error_code, refused.error_message.as_deref(), refused.results), (95, Some("why"), vec![]));
    }
}
