//! A cluster whose connections are all encrypted, and whose REST asks for tokens, as the page on security describes it.

use crate::distribution::{Distribution, JOB, until};
use std::fs;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A distribution with certificates for `hosts`, users, and these lines of configuration.
fn lay_out(hosts: &str, configuration: &str) -> Distribution {
    let d = Distribution::lay_out(configuration);
    d.run(&format!("./bin/reflow certs conf/tls {hosts} >> conf/config.yaml"));
    let home = d.home.path();
    fs::write(home.join("conf/users"), format!("anna:write:{TOKEN}\n")).unwrap();
    fs::write(home.join("token"), TOKEN).unwrap();
    let users = home.join("conf/users");
    d.run(&format!("echo 'rest.authentication.file: {}' >> conf/config.yaml", users.display()));
    d
}

/// Starts a job that TaskManagers must fetch.
fn start(d: &Distribution) {
    d.run(&format!("./bin/standalone-job.sh start -j {JOB} --events 1000000 --rate 100 --output out"));
    d.wait_for_log("standalonejob", "REST API and web interface on https://");
    d.run(&format!("rm lib/{JOB}"));
    d.run("./bin/taskmanager.sh start");
}

/// Waits until `reflow list` shows that the job runs.
fn wait_until_it_runs(d: &Distribution) {
    until("the job in `reflow list`", || {
        let listed = d.try_run("./bin/reflow list --token-file token");
        let out = String::from_utf8(listed.stdout).unwrap();
        (listed.status.success() && out.contains("RUNNING")).then_some(())
    });
}

/// The error of a command that must fail.
fn refused(d: &Distribution, line: &str) -> String {
    let output = d.try_run(line);
    assert!(!output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_cluster_with_tls_everywhere_admits_only_who_is_known() {
    let d = lay_out("--host localhost", "scheduler-mode: reactive\n");
    start(&d);
    d.wait_for_log("taskmanager", &format!("url=https://localhost:{}/artifacts/", d.rest));
    wait_until_it_runs(&d);
    let (rest, at) = (d.rest, format!("https://localhost:{}", d.rest));

    let error = refused(&d, "./bin/reflow list");
    assert!(error.contains("asks who you are"), "{error}");
    // Without the distribution's configuration.
    d.run("mkdir -p alone/bin; cp bin/reflow alone/bin/");
    let error = refused(&d, &format!("alone/bin/reflow list -m {at}"));
    assert!(error.contains("no authority is named") && error.contains("--ca-file"), "{error}");
    let listed =
        d.run(&format!("alone/bin/reflow list -m {at} --ca-file conf/tls/ca.pem --token-file token"));
    assert!(listed.contains("RUNNING"), "{listed}");
    d.run("./bin/reflow certs other > /dev/null");
    let error = refused(&d, &format!("alone/bin/reflow list -m {at} --ca-file other/ca.pem"));
    assert!(error.contains("is not signed by an authority in other/ca.pem"), "{error}");
    let error = refused(&d, &format!("alone/bin/reflow list -m http://localhost:{rest} --token-file token"));
    assert!(error.contains("this port speaks TLS: use https://"), "{error}");
    d.wait_for_log("standalonejob", "refused a REST connection: the client does not speak TLS");

    // The certificate is not for this address, until it is renewed.
    let by_address =
        format!("./bin/reflow list -m https://127.0.0.1:{rest} --ca-file conf/tls/ca.pem --token-file token");
    let error = refused(&d, &by_address);
    assert!(error.contains("certificate is for other names"), "{error}");
    d.run("./bin/reflow certs conf/tls --renew --host localhost --host 127.0.0.1");
    until("the renewed certificate", || d.try_run(&by_address).status.success().then_some(()));
    wait_until_it_runs(&d);
}

#[test]
fn a_job_is_fetched_from_a_second_port_with_the_certificates_of_processes() {
    let configuration = "scheduler-mode: reactive\njobmanager.bind-host: 127.0.0.1\njobmanager.rpc.address: 127.0.0.1\n\
         rest.address: localhost\n";
    let d = lay_out("", configuration);
    start(&d);
    d.wait_for_log("standalonejob", "the job's executable for TaskManagers on https://127.0.0.1:");
    d.wait_for_log("taskmanager", "url=internal+https://127.0.0.1:");
    wait_until_it_runs(&d);
}
