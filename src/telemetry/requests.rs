//! Requests of one core: how many, how large, how long they took.

use super::Histogram;
use std::cell::RefCell;

/// What is known of one kind of request.
#[derive(Clone, Debug, Default)]
pub struct ApiStatistics {
    /// Requests that were taken.
    pub requests: u64,
    /// Their bytes.
    pub request_bytes: u64,
    /// From when a request was taken to when its answer was known; waiting for others, the device or more records included.
    pub handled: Histogram,
    /// From when it was taken to when its answer was with the kernel.
    pub answered: Histogram,
}

/// The requests of one core, by API number.
#[derive(Debug, Default)]
pub struct RequestStatistics {
    apis: RefCell<Vec<ApiStatistics>>,
}

impl RequestStatistics {
    fn with(&self, api: i16, change: impl FnOnce(&mut ApiStatistics)) {
        // Numbers that no API has are answered by the end of the connection.
        let Some(api) = usize::try_from(api).ok().filter(|&api| api < MOST_APIS) else { return };
        let mut apis = self.apis.borrow_mut();
        if apis.len() <= api {
            apis.resize_with(api + 1, ApiStatistics::default);
        }
        change(&mut apis[api]);
    }

    /// A request was taken.
    pub fn taken(&self, api: i16, bytes: usize) {
        self.with(api, |of| {
            of.requests += 1;
            of.request_bytes += bytes as u64;
        });
    }

    /// Its answer is known.
    pub fn handled(&self, api: i16, micros: u64) {
        self.with(api, |of| of.handled.record(micros));
    }

    /// Its answer has been sent.
    pub fn answered(&self, api: i16, micros: u64) {
        self.with(api, |of| of.answered.record(micros));
    }

    /// All that were asked at least once, with their number.
    pub fn snapshot(&self) -> Vec<(i16, ApiStatistics)> {
        let apis = self.apis.borrow();
        (0..).zip(apis.iter()).filter(|(_, of)| of.requests > 0).map(|(api, of)| (api, of.clone())).collect()
    }
}

/// Above the largest number of an API.
const MOST_APIS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_api() {
        let statistics = RequestStatistics::default();
        statistics.taken(3, 100);
        statistics.taken(3, 20);
        statistics.handled(3, 70);
        statistics.answered(3, 90);
        statistics.taken(-1, 5);
        statistics.taken(i16::MAX, 5);
        let snapshot = statistics.snapshot();
        assert_eq!(snapshot.len(), 1);
        let (api, of) = &snapshot[0];
        assert_eq!((*api, of.requests, of.request_bytes, of.handled.count(), of.answered.sum_us()), (3, 2, 120, 1, 90));
    }
}
