//! offhours stops SAP AI Core deployments outside business hours, proves that they stopped, and mails what that avoided.

pub mod clock;
pub mod domain;
pub mod simulator;
