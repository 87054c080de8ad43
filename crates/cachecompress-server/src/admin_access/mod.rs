//! The rules for access to the admin listener: the hosts that it is asked for, and the token of those who
//! change something.

mod known_hosts;
mod token;

use crate::config::ServeConfig;
use crate::exit::Failure;

pub(crate) use known_hosts::KnownHosts;
pub(crate) use token::Token;

/// The access that a configuration gives to the admin listener.
#[derive(Clone, Debug)]
pub(crate) struct AdminAccess {
    pub(crate) hosts: KnownHosts,
    /// The token of requests that change something. Without one there are none.
    pub(crate) token: Option<Token>,
}

impl AdminAccess {
    /// Reads the token that `config` names.
    ///
    /// # Errors
    ///
    /// [`Failure::Runtime`] if its file cannot be read, [`Failure::Usage`] if that holds no token.
    pub(crate) fn open(config: &ServeConfig) -> Result<Self, Failure> {
        let token = config.admin_token_file.as_deref().map(Token::read).transpose()?;
        Ok(Self { hosts: KnownHosts::new(&config.admin_hosts), token })
    }
}
