//! Statements, and what is answered.

use super::*;

#[test]
fn a_simple_query() {
    let spans = inside(&[
        Out(all(&["QSELECT 1|"])),
        In(all(&["Tx", "Da", "Db", "CSELECT 2|", "ZI"])),
        Out(all(&["Qinsert into t values (1) returning id|"])),
        In(all(&["Tx", "CINSERT 0 0|", "ZI"])),
        Out(all(&["QBEGIN|"])),
        In(all(&["CBEGIN|"])),
        In(all(&["ZT"])),
        Out(all(&["Q|"])),
        In(all(&["I", "ZT"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "SELECT 1@shop 30-40 rows=2",
            "insert into t values (1) returning id@shop 50-60 rows=0",
            "BEGIN@shop 70-90",
            "@shop 100-110",
        ]
    );
}

#[test]
fn several_statements_of_one_message_are_one() {
    let spans = inside(&[
        Out(all(&["QSELECT 1; UPDATE t SET a = 1; SELECT nope|"])),
        In(all(&["Tx", "Dx", "CSELECT 1|", "CUPDATE 1|", "SFERROR|"])),
        In(all(&["N-|", "ESERROR|VERROR|C42703|Mno|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        ["SELECT 1; UPDATE t SET a = 1; SELECT nope@shop 30-50 42703"]
    );
}

#[test]
fn the_extended_protocol() {
    let spans = inside(&[
        // Everything at once, without names.
        Out(all(&["P|SELECT $1|||", "B||....", "DP|", "E|||||", "S"])),
        In(all(&["1", "2", "Tx", "Dx", "CSELECT 1|", "ZI"])),
        // A named statement, prepared by itself.
        Out(all(&["Ps1|SELECT name FROM t|||", "DSs1|", "S"])),
        In(all(&["1", "tx", "Tx", "ZI"])),
        Out(all(&["B|s1|", "E|||||", "S"])),
        In(all(&["2", "CSELECT 0|", "ZI"])),
        // The one without a name is still there.
        Out(all(&["B||", "E|||||", "S"])),
        In(all(&["2", "Dx", "CSELECT 1|", "ZI"])),
        Out(all(&["CSs1|", "S"])),
        In(all(&["3", "ZI"])),
        Out(all(&["B|s1|", "E|||||", "S"])),
        In(all(&["EC26000|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "SELECT $1@shop 30-40 rows=1",
            "SELECT name FROM t@shop 70-80 rows=0",
            "SELECT $1@shop 90-100 rows=1",
            "-@shop 130-140 26000",
        ]
    );
}

#[test]
fn portals_keep_the_statement_they_were_bound_to() {
    let spans = inside(&[
        Out(all(&["P|SELECT a|||", "Bc1||", "Ec1|...2", "S"])),
        In(all(&["1", "2", "D1", "D2", "s", "ZT"])),
        Out(all(&["P|SELECT b|||", "B||", "E|||||", "S"])),
        In(all(&["1", "2", "D1", "CSELECT 1|", "ZT"])),
        Out(all(&["Ec1|...2", "S"])),
        In(all(&["D3", "CSELECT 1|", "ZT"])),
        Out(all(&[
            "B||",
            "P|SELECT c|||",
            "E|||||",
            "CPc1|",
            "Ec1|...2",
            "S",
        ])),
        In(all(&["2", "1", "D1", "CSELECT 1|", "3", "EC34000|", "ZE"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "SELECT a@shop 30-40 rows=2",
            "SELECT b@shop 50-60 rows=1",
            "SELECT a@shop 70-80 rows=1",
            "-@shop 90-100 rows=1",
            "-@shop 90-100 34000",
        ]
    );
}

#[test]
fn a_pipeline() {
    let pipeline = [
        "P|INSERT 1|||",
        "B||",
        "E|||||",
        "P|INSERT 2|||",
        "B||",
        "E|||||",
        "P|INSERT 3|||",
        "B||",
        "E|||||",
        "S",
    ];
    let spans = inside(&[
        Out(all(&pipeline)),
        In(all(&["1", "2", "CINSERT 0 1|"])),
        In(all(&["1", "2", "CINSERT 0 1|"])),
        In(all(&["1", "2", "CINSERT 0 1|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "INSERT 1@shop 30-40",
            "INSERT 2@shop 30-50",
            "INSERT 3@shop 30-60"
        ]
    );
    // What follows an error is passed over; the next pipeline is not.
    let spans = inside(&[
        Out(all(&pipeline)),
        Out(all(&["P|SELECT 4|||", "B||", "E|||||", "S"])),
        In(all(&["1", "2", "CINSERT 0 1|", "1", "EC22012|"])),
        In(all(&["ZI", "1", "2", "D1", "CSELECT 1|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "INSERT 1@shop 30-50",
            "INSERT 2@shop 30-50 22012",
            "INSERT 3@shop 30-60 _OTHER",
            "SELECT 4@shop 40-60 rows=1",
        ]
    );
}

#[test]
fn one_statement_with_many_values_is_a_batch() {
    let spans = inside(&[
        Out(all(&["Ps|INSERT|||", "B|s|1", "E|||||", "B|s|2", "E|||||"])),
        Out(all(&["B|s|3", "E|||||", "S"])),
        In(all(&["1", "2", "CINSERT 0 1|", "2", "CINSERT 0 1|", "2"])),
        In(all(&["CINSERT 0 1|", "ZI"])),
        // One by one, each with its own synchronisation: none.
        Out(all(&["B|s|3", "E|||||", "S", "B|s|4", "E|||||", "S"])),
        In(all(&["2", "CINSERT 0 1|", "ZI", "2", "CINSERT 0 1|", "ZI"])),
        Out(all(&[
            "B|s|5", "E|||||", "B|s|6", "E|||||", "B|s|7", "E|||||", "S",
        ])),
        In(all(&["2", "CINSERT 0 1|", "2", "EC23505|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "INSERT@shop 30-60 x3",
            "INSERT@shop 70-80",
            "INSERT@shop 70-80",
            "INSERT@shop 90-100 x3 23505",
        ]
    );
}

#[test]
fn an_error_at_the_end_of_the_transaction_is_the_statements() {
    let spans = inside(&[
        Out(all(&["P|INSERT|||", "B||", "E|||||", "S"])),
        In(all(&["1", "2", "CINSERT 0 1|", "EC23503|", "ZI"])),
        Close,
    ]);
    assert_eq!(spans, ["INSERT@shop 30-40 23503"]);
}

#[test]
fn a_statement_that_is_only_prepared_is_seen_if_that_fails() {
    let spans = inside(&[
        Out(all(&["Ps|SELEC|||", "DSs|", "H"])),
        In(all(&["EC42601|"])),
        Out(all(&["S"])),
        In(all(&["ZI"])),
        Out(all(&["Ps|SELECT 1|||", "DSs|", "H"])),
        In(all(&["1", "t", "T"])),
        Out(all(&["B|s|", "E|||||", "S"])),
        In(all(&["2", "D", "CSELECT 1|", "ZI"])),
        // Two at once, of which the second cannot be.
        Out(all(&["P|SELECT 1|||", "P|SELEC|||", "S"])),
        In(all(&["1", "EC42601|", "ZI"])),
        // With one that is executed.
        Out(all(&["Pnew|SELECT 2|||", "B|s|", "E|||||", "S"])),
        In(all(&["1", "2", "D", "CSELECT 1|", "ZI"])),
        Out(all(&["Pnew|SELECT 3|||", "B|s|", "E|||||", "S"])),
        In(all(&["EC42P05|", "ZI"])),
        Out(all(&["Pnew|SELECT 4|||", "S"])),
        Step::End(Direction::In, Ended::Eof),
    ]);
    assert_eq!(
        spans,
        [
            "SELEC@shop 30-40 42601",
            "SELECT 1@shop 90-100 rows=1",
            "SELEC@shop 110-120 42601",
            "SELECT 1@shop 130-140 rows=1",
            "SELECT 3@shop 150-160 42P05",
            "SELECT 1@shop 150-160 _OTHER",
            "SELECT 4@shop 170-180 connection_closed",
        ]
    );
}

#[test]
fn an_error_that_comes_before_what_it_belongs_to() {
    let spans = inside(&[
        Out(all(&["P|SELEC|||"])),
        In(all(&["EC42601|"])),
        Out(all(&["B||", "E|||||", "S"])),
        In(all(&["ZI"])),
        Out(all(&["P|SELECT|||", "B||", "E|||||", "S"])),
        In(all(&["1", "2", "CSELECT 0|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        ["SELEC@shop 30-60 42601", "SELECT@shop 70-80 rows=0"]
    );
}

#[test]
fn data_that_is_copied() {
    let spans = inside(&[
        Out(all(&["QCOPY t FROM STDIN|"])),
        In(all(&["G.."])),
        Out(all(&["dsecret", "dsecret", "c"])),
        In(all(&["CCOPY 2|", "ZI"])),
        Out(all(&["QCOPY t TO STDOUT|"])),
        In(all(&["H..", "da", "db", "c", "CCOPY 2|", "ZI"])),
        // By the extended protocol: the first synchronisation is overlooked by the server.
        Out(all(&["P|COPY u FROM STDIN|||", "B||", "E|||||", "S"])),
        In(all(&["1", "2", "G.."])),
        Out(all(&["dsecret", "S", "c", "S"])),
        In(all(&["CCOPY 1|", "ZI"])),
        Out(all(&["QSELECT 1|"])),
        In(all(&["CSELECT 1|", "ZI"])),
        // Given up, and broken off.
        Out(all(&["QCOPY t FROM STDIN|"])),
        In(all(&["G.."])),
        Out(all(&["fno|"])),
        In(all(&["EC57014|", "ZI"])),
        Out(all(&["P|COPY u FROM STDIN|||", "B||", "E|||||"])),
        In(all(&["1", "2", "G..", "EC22P04|"])),
        Out(all(&["dx", "c", "S"])),
        In(all(&["ZI"])),
        // The data did not wait to be asked for.
        Out(all(&[
            "P|COPY v FROM STDIN|||",
            "B||",
            "E|||||",
            "dx",
            "c",
            "S",
        ])),
        In(all(&["1", "2", "G..", "CCOPY 1|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "COPY t FROM STDIN@shop 30-60",
            "COPY t TO STDOUT@shop 70-80",
            "COPY u FROM STDIN@shop 90-120",
            "SELECT 1@shop 130-140 rows=0",
            "COPY t FROM STDIN@shop 150-180 57014",
            "COPY u FROM STDIN@shop 190-200 22P04",
            "COPY v FROM STDIN@shop 230-240",
        ]
    );
}

#[test]
fn what_comes_by_itself_and_calls_of_functions() {
    let spans = inside(&[
        Out(all(&["QLISTEN a|"])),
        In(all(&["N...", "A...", "CLISTEN|", "Sx|y|", "ZI"])),
        In(all(&["A...", "N..."])),
        Out(all(&["F...."])),
        In(all(&["V...", "ZI"])),
        In(all(&["EC57P01|"])),
        Step::End(Direction::In, Ended::Eof),
    ]);
    assert_eq!(spans, ["LISTEN a@shop 30-40", "CALL@shop 60-70"]);
}

#[test]
fn what_a_backslash_means_is_told() {
    use crate::sql::Backslash::{Escape, Plain, Unknown};
    for (told, wanted) in [
        (&["Sstandard_conforming_strings|on|"][..], Plain),
        (&["Sstandard_conforming_strings|off|"], Escape),
        (&["Sstandard_conforming_string|on|", "Sx|on|"], Unknown),
    ] {
        let mut answers = vec!["R..."];
        answers.extend(told);
        answers.push("ZI");
        for cut in [whole, bytewise] {
            let mut host = recorder();
            let steps = [
                Out(startup("user|me||")),
                In(all(&answers)),
                Out(all(&["QSELECT 1|"])),
                Close,
            ];
            host.run(&steps, cut);
            let ex = &host.exchanges[host.finished[1]];
            assert_eq!(ex.db.backslash, wanted);
        }
    }
}
