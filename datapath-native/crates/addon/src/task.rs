//! A promise for work on a worker thread.

use std::fmt::Display;

use napi::bindgen_prelude::{AsyncTask, ToNapiValue, TypeName};
use napi::{Env, Error, Result, Task};

type Work<T> = Box<dyn FnOnce() -> Result<T> + Send>;

pub struct Blocking<T>(Option<Work<T>>);

pub type Promise<T> = AsyncTask<Blocking<T>>;

pub fn blocking<T>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Promise<T>
where
    T: Send + ToNapiValue + TypeName + 'static,
{
    AsyncTask::new(Blocking(Some(Box::new(work))))
}

pub fn rejected(cause: impl Display) -> Error {
    Error::from_reason(cause.to_string())
}

impl<T: Send + ToNapiValue + TypeName + 'static> Task for Blocking<T> {
    type Output = T;
    type JsValue = T;

    fn compute(&mut self) -> Result<T> {
        let work = self
            .0
            .take()
            .ok_or_else(|| rejected("the work was started twice"))?;
        work()
    }

    fn resolve(&mut self, _env: Env, output: T) -> Result<T> {
        Ok(output)
    }
}
