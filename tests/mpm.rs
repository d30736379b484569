//! One test under each of httpd's processing models.

/// How httpd spreads requests over processes and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mpm {
    Event,
    Worker,
    Prefork,
}

impl Mpm {
    /// The module that implements it, without `mod_` and `.so`.
    pub fn module(self) -> &'static str {
        match self {
            Mpm::Event => "mpm_event",
            Mpm::Worker => "mpm_worker",
            Mpm::Prefork => "mpm_prefork",
        }
    }

    /// At most two children with threads, or eight without; never so many spare ones that one has to end. Those that
    /// restarts leave behind have room of their own with event; with worker new children take their places.
    pub fn sizes(self) -> &'static str {
        match self {
            Mpm::Event | Mpm::Worker => {
                "StartServers 1\nServerLimit 16\nThreadLimit 8\nThreadsPerChild 8\nMaxRequestWorkers 16\n\
                 MinSpareThreads 1\nMaxSpareThreads 16\n"
            }
            Mpm::Prefork => {
                "StartServers 2\nServerLimit 16\nMaxRequestWorkers 8\nMinSpareServers 1\nMaxSpareServers 16\n"
            }
        }
    }
}

/// Makes three tests of each function that takes an [`Mpm`].
macro_rules! on_each_mpm {
    ($($test:ident),+ $(,)?) => {
        $(mod $test {
            use crate::mpm::Mpm;

            #[test]
            fn event() {
                super::$test(Mpm::Event);
            }

            #[test]
            fn worker() {
                super::$test(Mpm::Worker);
            }

            #[test]
            fn prefork() {
                super::$test(Mpm::Prefork);
            }
        })+
    };
}

pub(crate) use on_each_mpm;
