//! What is private, the key file and the folder of rejected events, may be read by its owner alone or, where that is
//! chosen, by its group, too. A mode that allows more is set right where we may do that, and never in silence.

use std::{fs::File, io, path::Path};

/// Who may read what is private.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrivateTo {
    /// Its owner.
    #[default]
    Owner,
    /// Its group, too: where a Kubernetes Secret or an `fsGroup` leaves no other way.
    Group,
}

impl PrivateTo {
    /// Sees to the mode of an open file or folder, which should be `right`, and gives a sentence where it was changed.
    ///
    /// # Errors
    /// The mode, and why it cannot be changed.
    #[cfg(unix)]
    pub(crate) fn keep(self, file: &File, path: &Path, right: u32) -> Result<Option<String>, (u32, io::Error)> {
        use std::os::unix::fs::PermissionsExt;
        let mode = mode_of(file).map_err(|error| (0, error))?;
        let allowed = if self == PrivateTo::Group { 0o070 } else { 0 };
        if mode & 0o077 & !allowed == 0 {
            return Ok(None);
        }
        file.set_permissions(std::fs::Permissions::from_mode(right)).map_err(|error| (mode, error))?;
        Ok(Some(format!(
            "{} had mode {mode:04o}, so others than its owner could read it (fsGroup of Kubernetes does that): its mode is {right:04o} now.",
            path.display()
        )))
    }

    #[cfg(not(unix))]
    pub(crate) fn keep(self, _: &File, _: &Path, _: u32) -> Result<Option<String>, (u32, io::Error)> {
        Ok(None)
    }
}

#[cfg(unix)]
pub(crate) fn mode_of(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o7777)
}

#[cfg(not(unix))]
pub(crate) fn mode_of(_: &File) -> io::Result<u32> {
    Ok(0o600)
}
