//! Every sentence that a version before version 5 of the ledger wrote, and what it says. A sentence that is changed in the
//! domain needs its old form here, and a reading of it beside.

use chrono::{DateTime, Utc};

use super::{Of, kind, reason, run_reason, run_reasons};
use crate::domain::deployment::Status;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::hold::{Hold, HoldTarget, OffWord, OptOut};
use crate::domain::id::{DeploymentId, ResourceGroup, RuleName};
use crate::domain::instant::rfc3339;
use crate::domain::reason::{AskedBy, Blocked, HeldBy, NotWatched, Reason, ReasonCode, ReasonKind};
use crate::domain::run_reason::{Interruption, RunReason, say_all};

/// Reasons that no earlier version knew; a new one is added here.
const SINCE_VERSION_5: [ReasonCode; 1] = [ReasonCode::Sentence];

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn of() -> Of {
    Of {
        group: "dev-a".to_owned(),
        id: "d001".to_owned(),
        configuration_id: "c1".to_owned(),
        configuration_name: Some("chat".to_owned()),
        rule: "evenings".to_owned(),
        from: utc("2026-11-23T18:00:00.250Z"),
        to: utc("2026-11-23T18:02:00Z"),
    }
}

fn failure(code: FailureCode, message: &str) -> Failure {
    Failure::new(code, message)
}

fn group(name: &str) -> ResourceGroup {
    ResourceGroup::new(name).unwrap()
}

fn asked(at: Option<&str>) -> AskedBy {
    AskedBy { rule: RuleName::new("nights").unwrap(), at: at.map(utc) }
}

fn left() -> Vec<(&'static str, Reason)> {
    let opted = |label| Reason::OptedOut(label);
    vec![
        ("protected: resource_groups = `prod*`", Reason::Protected("resource_groups = `prod*`".to_owned())),
        ("excluded: ids = `d001`", Reason::Excluded("ids = `d001`".to_owned())),
        (
            "held: by Ada until 2026-11-24T07:00:00Z: load test: until noon",
            Reason::Held(HeldBy {
                hold: None,
                by: "Ada".to_owned(),
                until: utc("2026-11-24T07:00:00Z"),
                why: "load test: until noon".to_owned(),
            }),
        ),
        (
            "held: by Ada until lunch until 2026-11-24T07:00:00Z: held: by Bo until 2026-11-25T07:00:00Z: no",
            Reason::Held(HeldBy {
                hold: None,
                by: "Ada until lunch".to_owned(),
                until: utc("2026-11-24T07:00:00Z"),
                why: "held: by Bo until 2026-11-25T07:00:00Z: no".to_owned(),
            }),
        ),
        ("opted out by label: `offhours` = `off`", opted(OptOut::ForGood(OffWord::Off))),
        ("opted out by label: `offhours` = `keep`", opted(OptOut::ForGood(OffWord::Keep))),
        (
            "opted out by label: `offhours` = `a: `b`` is not understood, which counts as `off` (write `off` or `keep`, or \
             `on` for as usual)",
            opted(OptOut::UnknownWord("a: `b`".to_owned())),
        ),
        ("opted out by label: until 2026-12-08T12:00:00Z", opted(OptOut::Until(utc("2026-12-08T12:00:00Z")))),
        (
            "opted out by label: `offhours-hold-until` = `next: week` is no RFC 3339 instant, which counts as a hold",
            opted(OptOut::Unreadable("next: week".to_owned())),
        ),
        (
            "opted out by label: `off-hours` is not understood, which counts as `off` (the keys are \
             `ext.ai.sap.com/offhours` and `ext.ai.sap.com/offhours-hold-until`)",
            opted(OptOut::UnknownKey("off-hours".to_owned())),
        ),
        ("not selected: configurations", Reason::NotSelected("configurations".to_owned())),
        ("not selected: it is no longer listed", Reason::NotSelected("it is no longer listed".to_owned())),
        ("status HIBERNATING: cannot be stopped", Reason::CannotStop(Status::from("HIBERNATING"))),
        ("status DEAD: cannot be stopped", Reason::CannotStop(Status::Dead)),
        ("already asked to stop", Reason::AlreadyAsked),
        ("created after the instant: at 2026-11-23T18:00:01Z", Reason::CreatedAfter(utc("2026-11-23T18:00:01Z"))),
        ("created at an unknown time: it may be new", Reason::CreatedUnknown),
        ("younger than min_age: 7 of 30 minutes", Reason::TooYoung { age: 7, min_age: 30 }),
        ("token-billed: a stop avoids no compute cost", Reason::TokenBilled),
        ("observe: would have been stopped", Reason::Observed),
        (
            "blocked: it would have stopped 51 deployments, more than max_stops = 50",
            Reason::Blocked(Blocked { would_stop: 51, max_stops: 50 }),
        ),
        ("window ended: the off window was over before it could be asked to stop", Reason::WindowEnded),
        ("changed: somebody updated it after it was listed", Reason::Changed),
    ]
}

fn asked_or_off() -> Vec<(&'static str, Reason)> {
    let not_confirmed = |status: Option<Status>, waited| Reason::NotConfirmed { status, waited };
    vec![
        ("already STOPPED: not asked for by offhours", Reason::AlreadyOff { status: Status::Stopped, asked: None }),
        (
            "already STOPPED: rule `nights` asked for it at 2026-11-22T21:00:00Z",
            Reason::AlreadyOff { status: Status::Stopped, asked: Some(asked(Some("2026-11-22T21:00:00Z"))) },
        ),
        (
            "already RUNNING: rule `nights` asked for it",
            Reason::AlreadyOff { status: Status::Running, asked: Some(asked(None)) },
        ),
        (
            "still STOPPING since 2026-11-22T21:00:00Z: asked for by rule `nights`, not confirmed",
            Reason::StillStopping { status: Status::Stopping, asked: asked(Some("2026-11-22T21:00:00Z")) },
        ),
        (
            "still STOPPING: asked for by rule `nights`, not confirmed",
            Reason::StillStopping { status: Status::Stopping, asked: asked(None) },
        ),
        ("deleted by somebody else", Reason::Deleted),
        ("dead: it turned DEAD instead of STOPPED", Reason::Dead),
        ("came_back: it is RUNNING again", Reason::CameBack { status: Status::Running, asked_before: false }),
        (
            "came_back: its stop was asked for earlier, it was changed since and is PENDING; it is not asked again",
            Reason::CameBack { status: Status::Pending, asked_before: true },
        ),
        ("unconfirmed: still STOPPING after 15 minutes", not_confirmed(Some(Status::Stopping), 900)),
        ("unconfirmed: still RUNNING after 1 minute", not_confirmed(Some(Status::Running), 60)),
        ("unconfirmed: not seen again after 90 seconds", not_confirmed(None, 90)),
        ("unconfirmed: not seen again after 0 minutes", not_confirmed(None, 0)),
        ("unconfirmed: AI Core could not be asked again", Reason::NotWatched(NotWatched::Unreachable)),
        (
            "unconfirmed: it could not be looked at again: GET /v2/lm/deployments/d001 was answered 403: the service key \
             may not do that",
            Reason::NotWatched(NotWatched::Refused(
                "GET /v2/lm/deployments/d001 was answered 403: the service key may not do that".to_owned(),
            )),
        ),
        ("unconfirmed: offhours failed before it was confirmed", Reason::NotWatched(NotWatched::Panic)),
        ("unconfirmed: the rule is no longer configured", Reason::NotWatched(NotWatched::RuleIsGone)),
        ("unconfirmed: the connection is no longer configured", Reason::NotWatched(NotWatched::ConnectionIsGone)),
        (
            "unconfirmed: the ledger was restored from a backup, and nothing more was asked for",
            Reason::NotWatched(NotWatched::Restored),
        ),
        (
            "clock: it shows a time before the off window",
            Reason::Failure(failure(FailureCode::Clock, "it shows a time before the off window")),
        ),
        (
            "ledger: not asked, because the disk is full: no space",
            Reason::Failure(failure(FailureCode::Ledger, "not asked, because the disk is full: no space")),
        ),
    ]
}

#[test]
fn every_sentence_about_a_deployment_is_understood() {
    for (sentence, value) in left().into_iter().chain(asked_or_off()) {
        let read = reason(sentence, &of(), &[]);
        assert_eq!(read, value, "{sentence}");
        assert_eq!(read.to_string(), sentence);
    }
    // Each code is either here or a failure, and of failures each word is understood.
    let known: Vec<&str> = left().iter().chain(&asked_or_off()).map(|(_, value)| value.kind().code()).collect();
    for code in ReasonCode::ALL.iter().filter(|code| !SINCE_VERSION_5.contains(code)) {
        assert!(known.contains(&code.as_str()), "no sentence for {code}");
    }
    for code in FailureCode::ALL {
        let sentence = format!("{code}: PATCH /v2/lm/deployments was answered 412: it cannot be changed now; or never");
        assert_eq!(reason(&sentence, &of(), &[]).kind(), ReasonKind::Failure(*code));
    }
}

fn of_whole_runs() -> Vec<(&'static str, RunReason)> {
    let interrupted = |why| RunReason::Interrupted(why);
    let of_key = failure(FailureCode::Auth, "AI Core rejected the credentials: no; check that the service key exists");
    let unfinished = |others| RunReason::Unfinished {
        reason: Box::new(Reason::Failure(failure(FailureCode::Unreachable, "GET /v2/lm/deployments failed: no; 5xx"))),
        group: group("dev-a"),
        others,
    };
    vec![
        (
            "blocked: it would have stopped 51 deployments, more than max_stops = 50",
            RunReason::Blocked(Blocked { would_stop: 51, max_stops: 50 }),
        ),
        (
            "auth: AI Core rejected the credentials: no; check that the service key exists",
            RunReason::Failure(of_key.clone()),
        ),
        (
            "panic: the run ended by a fault of offhours; what it had asked for is unconfirmed",
            RunReason::Failure(failure(
                FailureCode::Panic,
                "the run ended by a fault of offhours; what it had asked for is unconfirmed",
            )),
        ),
        (
            "deadline: AI Core did not list everything within 15 minutes",
            RunReason::Failure(failure(FailureCode::Deadline, "AI Core did not list everything within 15 minutes")),
        ),
        ("unreachable: 2 deployments that were asked to stop could not be looked at again", RunReason::NotSeen(2)),
        (
            "trying again: auth: AI Core rejected the credentials: no; check that the service key exists",
            RunReason::TryingAgain(Box::new(RunReason::Failure(of_key))),
        ),
        (
            "trying again: unreachable: GET /v2/lm/deployments failed: no; 5xx (resource group `dev-a`)",
            RunReason::TryingAgain(Box::new(unfinished(0))),
        ),
        ("unreachable: GET /v2/lm/deployments failed: no; 5xx (resource group `dev-a` and 3 more)", unfinished(3)),
        (
            "missed: noticed at 2026-11-24T06:00:00Z, when its time had passed",
            RunReason::Missed { noticed: utc("2026-11-24T06:00:00Z"), earlier: 0 },
        ),
        (
            "missed: noticed at 2026-11-24T06:00:00Z, when its time had passed, together with 4 earlier firings",
            RunReason::Missed { noticed: utc("2026-11-24T06:00:00Z"), earlier: 4 },
        ),
        ("skipped: the rule's previous run is still going", RunReason::Skipped),
        (
            "interrupted: offhours was stopped; its next start looks at what was asked for, and goes on with the rest",
            interrupted(Interruption::Stopped),
        ),
        (
            "interrupted: the rule is no longer configured, so nothing more was asked for",
            interrupted(Interruption::RuleIsGone),
        ),
        (
            "interrupted: the connection `dev` is no longer configured",
            interrupted(Interruption::ConnectionIsGone("dev".to_owned())),
        ),
        (
            "interrupted: the ledger was restored from a backup that does not know how this run ended",
            interrupted(Interruption::Restored),
        ),
    ]
}

/// Those of which a run can have several, in the order in which they were written.
fn of_summaries() -> Vec<(&'static str, RunReason)> {
    let note = |text: &'static str| (text, RunReason::Note(text.to_owned()));
    vec![
        ("3 deployments were left: the off window was over before they could be asked to stop", RunReason::TooLate(3)),
        (
            "unexpected_response: 2 of 5 resource groups could not be listed; `dev-a`: GET /v2/lm/deployments was \
             answered 200: HTML; is `AI_API_URL` right, or a proxy or login page in between",
            RunReason::NotListed {
                count: 2,
                groups: 5,
                group: group("dev-a"),
                failure: failure(
                    FailureCode::UnexpectedResponse,
                    "GET /v2/lm/deployments was answered 200: HTML; is `AI_API_URL` right, or a proxy or login page in \
                     between",
                ),
            },
        ),
        ("1 failed", RunReason::NotOff { failed: 1, unconfirmed: 0 }),
        note("2 deployments of `dev-a` have malformed ids and were left"),
        note("instance types could not be read: GET /v2/lm/resourcePlans was answered 200; is `AI_API_URL` right"),
        note("labels of resource groups could not be read: this key may not list them"),
        note("list_inconsistent: the list of `dev-b` changed while it was read"),
    ]
}

#[test]
fn every_sentence_about_a_run_is_understood() {
    let more = [
        ("2 unconfirmed", RunReason::NotOff { failed: 0, unconfirmed: 2 }),
        ("1 failed, 2 unconfirmed", RunReason::NotOff { failed: 1, unconfirmed: 2 }),
    ];
    for (sentence, value) in of_whole_runs().into_iter().chain(of_summaries()).chain(more) {
        assert_eq!(run_reason(sentence), value, "{sentence}");
        assert_eq!(run_reasons(sentence), std::slice::from_ref(&value), "{sentence}");
        assert_eq!(value.to_string(), sentence);
    }
}

#[test]
fn several_reasons_of_a_run_are_told_apart() {
    let all = of_summaries();
    for kept in 0_u32..1 << all.len() {
        let chosen = all.iter().enumerate().filter(|(index, _)| kept & (1 << index) != 0).map(|(_, one)| one);
        let (sentences, values): (Vec<&str>, Vec<RunReason>) = chosen.cloned().unzip();
        let sentence = sentences.join("; ");
        if !sentence.is_empty() {
            assert_eq!(run_reasons(&sentence), values, "{sentence}");
            assert_eq!(say_all(&values, &rfc3339), sentence);
        }
    }
}

#[test]
fn what_nobody_wrote_stays_a_sentence() {
    for sentence in ["left: for a reason", "held: by Ada", "already", "unconfirmed", "status : cannot", ""] {
        let read = reason(sentence, &of(), &[]);
        assert_eq!(read, Reason::Sentence(sentence.to_owned()));
        assert_eq!(read.to_string(), sentence);
    }
    for sentence in ["missed: for a reason", "1 stop was refused; and 1 was not confirmed", "many failed", "x: y; z"] {
        assert_eq!(run_reasons(sentence), [RunReason::Sentence(sentence.to_owned())]);
    }
}

#[test]
fn every_keyword_that_was_counted_is_understood() {
    for (sentence, value) in left().iter().chain(&asked_or_off()) {
        // A version before took the keyword to the first colon; what was counted has none in it.
        let keyword = sentence.split(':').next().unwrap();
        if matches!(value, Reason::StillStopping { .. } | Reason::NotConfirmed { .. } | Reason::NotWatched(_)) {
            continue; // Asked to stop, so that it has a row.
        }
        match value {
            Reason::Failure(_) => {}
            value => assert_eq!(kind(keyword), value.kind(), "{keyword}"),
        }
    }
    assert_eq!(kind("no such thing"), ReasonKind::Plain(ReasonCode::Sentence));
}

#[test]
fn the_hold_is_found_that_decided() {
    let hold = |id, target: HoldTarget, made: &str, removed: Option<&str>| Hold {
        id,
        target,
        created_at: utc(made),
        until: utc("2026-11-24T07:00:00.815Z"),
        reason: "load test".to_owned(),
        by: "Ada".to_owned(),
        removed_at: removed.map(utc),
    };
    let deployment = |id| HoldTarget::Deployment(DeploymentId::new(id).unwrap());
    let (day_before, later) = ("2026-11-22T08:00:00Z", "2026-11-23T20:00:00Z");
    let sentence = "held: by Ada until 2026-11-24T07:00:00Z: load test";
    let read = |holds: &[Hold]| reason(sentence, &of(), holds);
    let others = [
        hold(1, deployment("d002"), day_before, None),
        hold(2, deployment("d001"), day_before, Some("2026-11-23T09:00:00Z")),
        hold(3, deployment("d001"), later, None),
    ];
    assert_eq!(read(&others).hold(), None, "another deployment's, removed before, made after");
    for target in [
        deployment("d001"),
        HoldTarget::ResourceGroup(group("dev-a")),
        HoldTarget::Configuration("chat".to_owned()),
        HoldTarget::Configuration("c1".to_owned()),
        HoldTarget::Rule(RuleName::new("evenings").unwrap()),
    ] {
        let decided = hold(4, target, day_before, Some(later));
        let all = [&others[..], std::slice::from_ref(&decided)].concat();
        assert_eq!(read(&all), Reason::Held(HeldBy::from(&decided)), "to the millisecond");
        assert_eq!(read(&all).to_string(), sentence);
    }
}
