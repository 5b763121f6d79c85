//! A night: all broadcasts of a simulation, merged by arrival. A broadcast takes memory only while it is under way, and
//! its truth only is kept after.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::broadcast::Broadcast;
use crate::event::Arrival;
use crate::script::Script;
use crate::truth::{BroadcastTruth, Truth};
use crate::{Ms, NightOptions};

/// The events of a simulation, in order of arrival. Its length is not known beforehand: chance decides it.
#[derive(Debug)]
pub struct Night {
    options: NightOptions,
    /// The next arrival of each broadcast under way, or the start of one that is not: time and number.
    next: BinaryHeap<Reverse<(Ms, u32)>>,
    /// The broadcasts, in the order of their numbers.
    broadcasts: Vec<Stage>,
}

#[derive(Debug)]
enum Stage {
    Waiting,
    UnderWay(Box<Broadcast>, Arrival),
    Over(Option<Box<BroadcastTruth>>),
}

/// Simulates what the options say: the events by iteration, the truth about them after it.
///
/// # Errors
///
/// What [`NightOptions::validate`] says.
pub fn generate(options: &NightOptions) -> Result<Night, String> {
    options.validate()?;
    let next = (0..options.broadcasts).map(|number| Reverse((Script::new(options, number).start, number))).collect();
    let broadcasts = (0..options.broadcasts).map(|_| Stage::Waiting).collect();
    Ok(Night { options: options.clone(), next, broadcasts })
}

impl Iterator for Night {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let mut top = self.next.peek_mut()?;
            let number = top.0.1;
            let stage = &mut self.broadcasts[number as usize];
            let (mut broadcast, arrived) = match std::mem::replace(stage, Stage::Over(None)) {
                Stage::Waiting => (Box::new(Broadcast::new(&self.options, number)), None),
                Stage::UnderWay(broadcast, arrival) => (broadcast, Some(arrival)),
                // Nothing of what is over is awaited.
                over @ Stage::Over(_) => {
                    *stage = over;
                    PeekMut::pop(top);
                    continue;
                }
            };
            match broadcast.next_arrival() {
                Some(arrival) => {
                    *top = Reverse((arrival.at, number));
                    *stage = Stage::UnderWay(broadcast, arrival);
                }
                None => {
                    PeekMut::pop(top);
                    *stage = Stage::Over(broadcast.finish().map(Box::new));
                }
            }
            if arrived.is_some() {
                return arrived;
            }
        }
    }
}

impl Night {
    /// The truth about all events, those that were not taken yet included: it goes through them first.
    pub fn truth(mut self) -> Truth {
        self.by_ref().for_each(drop);
        let truth_of = |stage| match stage {
            Stage::Over(truth) => truth.map(|truth| *truth),
            Stage::Waiting | Stage::UnderWay(..) => None,
        };
        Truth { broadcasts: self.broadcasts.into_iter().filter_map(truth_of).collect() }
    }
}
