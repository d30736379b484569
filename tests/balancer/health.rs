//! Members that die and return, with mod_proxy_hcheck and without.

use crate::client::request;
use crate::mpm::Mpm;
use crate::wait::wait_for;

use super::{Balanced, balancer, production};

#[test]
fn a_member_that_the_health_check_finds_dead_gets_no_copies_until_it_is_back() {
    let words = ["hctemplate=often"; 2];
    let mut balanced = Balanced::on(&words, |members| {
        // 2.4.37 checks no member in a virtual host without a directive of mod_proxy_hcheck's own.
        let check = "ProxyHCTemplate often hcmethod=TCP hcinterval=1 hcfails=1 hcpasses=1";
        let section = format!("{check}\n{}", balancer(members, &words, ""));
        production(Mpm::Event, &section, "max=1 failures=0")
            .one_child()
            .expect("AH00957:")
            .expect("AH03301:")
            .expect("AH03302:")
            .expect("CPY0116:")
    });
    let found = |balanced: &Balanced, index: usize, failing: bool| {
        let member = balanced.member(index);
        wait_for("the health check's verdict", || {
            (balanced.manager.status(&member).contains("HcFl") == failing).then_some(())
        });
    };
    assert_eq!(balanced.copies(10), [5, 5]);
    balanced.members[0].stop();
    found(&balanced, 0, true);
    assert_eq!(balanced.copies(10), [0, 10]);
    balanced.members[1].stop();
    found(&balanced, 1, true);
    assert_eq!(balanced.copies(10), [0, 0]);
    assert_eq!(balanced.no_member(), 10);
    balanced.members[0].resume();
    found(&balanced, 0, false);
    assert_eq!(balanced.copies(10), [10, 0]);
    balanced.members[1].resume();
    found(&balanced, 1, false);
    assert_eq!(balanced.copies(10), [5, 5]);
    let status = balanced.server.status();
    assert_eq!(status.sum("failed"), 0, "{status}");
}

#[test]
fn without_a_health_check_a_dead_member_costs_few_copies_and_is_found_again() {
    let words = ["", ""];
    let mut balanced = Balanced::on(&words, |members| {
        let keys = "max=1 failures=3 retry=300ms";
        production(Mpm::Event, &balancer(members, &words, ""), keys)
            .one_child()
            .expect("CPY0102:")
            .expect("CPY0104:")
            .expect("CPY0118:")
    });
    assert_eq!(balanced.copies(10), [5, 5]);
    balanced.members[0].stop();
    let mut client = balanced.server.client();
    for _ in 0..80 {
        assert_eq!(client.exchange(request("GET", "/a")).status, 200);
    }
    balanced.selected += 80;
    let status = balanced.server.settled(balanced.selected);
    let staging = status.target("staging");
    let failed = staging.count("failed");
    // Three, and one for each 300 ms that the requests took, were the machine that slow.
    assert!((3..30).contains(&failed), "{status}");
    assert_eq!(staging.count("dropped"), 0, "the breaker is closed\n{status}");
    let line = format!(
        "leaves {} out for 300ms: 3 failures in a row (1 so far)",
        balanced.members[0].authority()
    );
    assert_eq!(balanced.server.logged(&line), 1, "{}", balanced.server.logs());
    balanced.members[0].resume();
    let before = balanced.members[0].count();
    wait_for("copies to the member that is back", || {
        balanced.server.client().get("/a");
        (balanced.members[0].count() > before + 3).then_some(())
    });
}

#[test]
fn where_all_members_are_dead_the_breaker_opens() {
    let words = ["", ""];
    let mut balanced = Balanced::on(&words, |members| {
        production(Mpm::Event, &balancer(members, &words, ""), "max=1 failures=3 retry=1h")
            .one_child()
            .expect("CPY01")
    });
    balanced.members.iter_mut().for_each(crate::staging::Staging::stop);
    assert_eq!(balanced.copies(20), [0, 0]);
    let status = balanced.server.status();
    let staging = status.target("staging");
    assert_eq!(staging.text("breaker.state"), "open", "{status}");
    assert_eq!((staging.count("failed"), staging.count("dropped.breaker")), (3, 17), "{status}");
}

#[test]
fn a_member_that_failed_in_production_gets_no_copies_until_its_time_is_over() {
    let words = ["retry=2", "retry=2"];
    let mut balanced = Balanced::on(&words, |members| {
        production(Mpm::Event, &balancer(members, &words, ""), "max=1")
            .one_child()
            .vhost("ProxyPass \"/app\" \"balancer://staging/app\"")
            .vhost("<Location \"/app\">\nMirrorRequest Off\n</Location>")
            .expect("AH00957:")
            .expect("AH00959:")
            .expect("AH01114:")
    });
    balanced.members[0].stop();
    let mut client = balanced.server.client();
    (0..4).for_each(|_| drop(client.get("/app")));
    assert!(
        balanced.manager.status(&balanced.member(0)).contains("Err"),
        "{}",
        balanced.server.logs()
    );
    balanced.members[0].resume();
    assert_eq!(balanced.copies(6), [0, 6]);
    // Production sends nothing more: only the time says that it may be tried.
    wait_for("copies after two seconds", || (balanced.copies(2)[0] > 0).then_some(()));
    assert!(
        balanced.manager.status(&balanced.member(0)).contains("Err"),
        "nothing was written there"
    );
}
