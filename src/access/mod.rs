//! Who may do what, and how much of it.
//!
//! **The problem.** Clients share a broker, and one of them must not be able to take what the others need.
//!
//! **What is here.** [`quota`]: rates and buckets, which say how long a client has to wait. Who a client is, and what it may touch, comes
//! later: there is no authentication yet.

pub mod quota;
