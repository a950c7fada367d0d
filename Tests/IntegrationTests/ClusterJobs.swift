import Foundation
import Testing

@testable import Foundations
@testable import rfm

extension Jobs {
  /// `launch/cluster` and training over TCP, on hosts that are network namespaces.
  @Suite(.needs(.hosts)) struct Cluster {
    private let runs: TinyRuns
    private var folder: TestFolder { runs.folder }

    init() throws { runs = try TinyRuns() }

    /// Runs a shell script on the first of several hosts.
    ///
    /// In it `$cluster` is launch/cluster with the hosts and how to reach them, and `"$@"` are the
    /// arguments.
    private func onHosts(
      _ hosts: Int, _ script: String, _ arguments: [String], options: [String] = []
    ) throws -> Job {
      try folder.write(
        """
        set -eu
        cluster="\(repository.path)/launch/cluster --network 10.77.0.0/24"
        here="$cluster --hosts $RFM_HOSTS --agent $RFM_AGENT"
        \(script)

        """, to: "script")
      return try Job(
        Facility.hosts.path,
        ["--hosts", "\(hosts)"] + options + ["bash", "script"] + arguments,
        environment: ["RFM": Job.product("rfm"), "RFM_GUARD_SECONDS": "2"],
        directory: folder.path, timeLimit: 150)
    }

    @Test(arguments: [2, 4]) func hostsThatTalkOverTCPEndWithTheBitsOfOneHost(
      hosts: Int
    ) throws {
      let one = try runs.train("one", ranks: hosts)
      #expect(one.succeeded, "\(one)")
      let many = try onHosts(
        hosts, #"$here "$@""#, runs.arguments("many"), options: ["--rate", "1gbit"]
      ).wait()
      #expect(many.succeeded, "\(many)")
      #expect(many.standardError.contains("\(hosts) hosts are ready: \(hosts) ranks"), "\(many)")
      let names = try json(runs.path("many") + "/environment.json")["hosts"]?.arrayValue
      #expect(names?.compactMap(\.textValue) == (1...hosts).map { "rfm-host-\($0)" })
      #expect(try runs.endedAlike("one", "many"), "\(many)")
    }

    /// Two hosts of two ranks each, which add up in memory within hosts first. With two ranks a host the
    /// order of adding is that of four ranks on one host.
    @Test func hostsOfSeveralRanksEndWithTheBitsOfOneHost() throws {
      let settings = [
        "training.batch_norm=local", "communication.digest_every_steps=1",
        "communication.bucket_megabytes=0.05",
      ]
      let one = try runs.train("one", settings, ranks: 4)
      #expect(one.succeeded, "\(one)")
      for (name, more) in [
        ("many", []), ("rounded", ["communication.compression=bfloat16"]),
        ("again", ["communication.compression=bfloat16"]),
      ] {
        let outcome = try onHosts(
          2, #"$here --ranks-per-host 2 "$@""#, runs.arguments(name, settings + more)
        ).wait()
        #expect(outcome.succeeded, "\(outcome)")
        #expect(outcome.standardError.contains("2 hosts are ready: 4 ranks"), "\(outcome)")
      }
      #expect(try runs.endedAlike("one", "many"))
      #expect(try runs.endedAlike("rounded", "again"))
      #expect(try !runs.endedAlike("many", "rounded"))
    }

    @Test(arguments: [([], "hierarchical"), (["--messages"], "messages")])
    func theBenchmarkTellsThatHostsAddUpWithinThemselves(flags: [String], means: String) throws {
      let arguments = [
        "benchmark", "--model", "xception-tiny", "--crop", "64", "--batch", "2", "--steps", "2",
        "--warmup", "1", "--threads", "1", "--json",
      ]
      let outcome = try onHosts(
        2, #"$here --ranks-per-host 2 "$@""#, arguments + flags
      ).wait()
      #expect(outcome.succeeded, "\(outcome)")
      let report = try JSON(parsing: Array(outcome.standardOutput.utf8))
      #expect(report["gradient_sums"]?.textValue == means, "\(outcome)")
      // Of the threads that compute.
      #expect(report["allocations_per_step"] != nil)
    }

    @Test func allWorkIsSplitOverHosts() throws {
      let checkpoint = try TinyRuns.checkpoint.get().path
      for command in [Applying.evaluate, .prototypes] {
        let arguments = try command.arguments(
          checkpoint: checkpoint, data: SharedData.train, output: folder.file(command.outputName))
        let outcome = try onHosts(2, #"$here --ranks-per-host 2 "$@""#, arguments).wait()
        #expect(outcome.succeeded, "\(outcome)")
        #expect(outcome.standardError.contains("2 hosts are ready: 4 ranks"), "\(outcome)")
        #expect(FileManager.default.fileExists(atPath: folder.file(command.outputName)))
      }
    }

    /// Everything that is wrong is said before anything is started.
    @Test func hostsThatAreNotReadyAreNamed() throws {
      let script = """
        expect() { # STATUS, then the command
          local status=0
          "${@:2}" >>out 2>&1 || status=$?
          [[ $status -eq $1 ]] || { echo "status $status from ${*:2}"; cat out; exit 1; }
        }
        (cat "$RFM_HOSTS"; echo "10.77.0.9 slots=2 # not there") >more
        expect 74 $cluster --hosts more --agent "$RFM_AGENT" "$@"
        grep -q '10.77.0.9 does not answer' out
        # Another program on the second host.
        printf '#!/bin/sh\\nhost=$1; shift\\ncase $host in *.2) set -- "$(echo "$*" | sed "s,%s,/bin/echo,g")" ;; esac\\nexec %s "$host" "$*"\\n' "$RFM" "$RFM_AGENT" >agent
        chmod +x agent
        expect 74 $cluster --hosts "$RFM_HOSTS" --agent ./agent "$@"
        grep -q '10.77.0.2 has rfm echo ' out
        mkdir other
        (cd other && expect 65 $here train --config nothing.yaml)
        grep -q 'nothing.yaml' other/out
        echo 'a;b' >bad
        expect 65 $cluster --hosts bad --agent "$RFM_AGENT" "$@"
        expect 64 $cluster --agent "$RFM_AGENT" "$@"
        expect 0 $here --check "$@"
        """
      let outcome = try onHosts(2, script, runs.arguments("x")).wait()
      #expect(outcome.succeeded, "\(outcome)")
      #expect(!FileManager.default.fileExists(atPath: runs.path("x")), "nothing was started")
    }

    /// The cable of one host is pulled in the midst of a training: on both sides of the cut the watchdog
    /// ends the ranks, and the guard the daemons, which wait for each other.
    @Test func aLinkThatIsCutEndsTheJobOnEveryHostAndItResumes() throws {
      let settings = ["training.steps=40", "checkpoint.every_steps=5"]
      let one = try runs.train("one", settings, ranks: 2)
      #expect(one.succeeded, "\(one)")
      let script = """
        run=\(runs.path("many"))
        steps() { cat "$run/metrics.jsonl" 2>/dev/null | grep -c '"loss"' || true; }
        isAtWork() { [[ -e $run/checkpoints/latest && $(steps) -ge 8 ]]; }
        # Ranks and daemons of this job, on whichever host.
        running() {
          grep -lzx "RFM_TEST_JOB=$RFM_TEST_JOB" /proc/[0-9]*/environ 2>/dev/null |
            sed 's/environ/comm/' | xargs cat 2>/dev/null | grep -cxE 'rfm|orted|prted|mpirun|prterun' || true
        }
        $here "$@" 2>said &
        job=$!
        while kill -0 $job && ! isAtWork; do sleep 0.05; done
        $RFM_LINK down 2
        status=0
        wait $job || status=$?
        for try in $(seq 100); do
          [[ $(running) -gt 0 ]] || break
          sleep 0.1
        done
        echo "status $status, $(running) left"
        $RFM_LINK up 2
        $here "$@" --resume 2>>said
        """
      let outcome = try onHosts(
        2, script, runs.arguments("many", settings + ["communication.watchdog_seconds=4"])
      ).wait()
      let said = (try? String(contentsOfFile: folder.file("said"), encoding: .utf8)) ?? ""
      #expect(outcome.succeeded, "\(outcome)\n\(said)")
      // 74 by the watchdog, or 137 where the guard had to end mpirun.
      #expect(
        ["status 74, 0 left\n", "status 137, 0 left\n"].contains(outcome.standardOutput),
        "\(outcome)\n\(said)")
      #expect(said.contains("communication.watchdog_seconds") && said.contains("continuing "))
      #expect(try runs.endedAlike("one", "many"), "\(said)")
    }

    /// A host that does not come back is done without: the training goes on with the ranks that are left.
    @Test func aHostThatStaysAwayIsDoneWithout() throws {
      let script = """
        run=\(runs.path("many"))
        steps() { cat "$run/metrics.jsonl" 2>/dev/null | grep -c '"loss"' || true; }
        # The stand-in for ssh needs no link.
        cat >agent <<AGENT
        #!/bin/sh
        case \\$1 in *.2) [ ! -e $PWD/away ] || { echo "no route" >&2; exit 255; } ;; esac
        exec $RFM_AGENT "\\$@"
        AGENT
        chmod +x agent
        $cluster --hosts $RFM_HOSTS --agent $PWD/agent --restarts 2 --min-hosts 1 --patience 1 "$@" &
        job=$!
        while kill -0 $job && ! [[ -e $run/checkpoints/latest && $(steps) -ge 8 ]]; do sleep 0.05; done
        touch away
        $RFM_LINK down 2
        wait $job
        """
      let settings = [
        "training.steps=40", "checkpoint.every_steps=5", "communication.watchdog_seconds=4",
      ]
      let outcome = try onHosts(2, script, runs.arguments("many", settings)).wait()
      #expect(outcome.succeeded, "\(outcome)")
      for words in [
        "2 of 2 hosts are ready: 2 ranks", "restart 1 of 2", "10.77.0.2 does not answer",
        "1 of 2 hosts are ready: 1 ranks", "continuing ",
      ] { #expect(outcome.standardError.contains(words), "\(words): \(outcome)") }
      let names = try json(runs.path("many") + "/environment.json")["hosts"]?.arrayValue
      #expect(names?.compactMap(\.textValue) == ["rfm-host-1"])
      #expect(try runs.steps("many").map { $0["step"]?.integerValue } == Array(1...40))
    }

    /// The real thing instead of a stand-in: a server on every host, with keys of the test's own.
    @Test(
      .enabled(
        if: ["/usr/sbin/sshd", "/usr/bin/ssh"].allSatisfy(FileManager.default.isExecutableFile),
        "openssh-server is not installed"))
    func hostsAreReachedBySSH() throws {
      let script = """
        ssh-keygen -q -t ed25519 -N '' -f key
        chmod 700 .
        cp key.pub authorized
        mkdir -p /run/sshd
        cat >sshd_config <<CONFIG
        HostKey $PWD/key
        AuthorizedKeysFile $PWD/authorized
        PermitRootLogin yes
        StrictModes no
        UsePAM no
        PidFile none
        SetEnv RFM_TEST_JOB=$RFM_TEST_JOB
        CONFIG
        cat >ssh_config <<CONFIG
        IdentityFile $PWD/key
        StrictHostKeyChecking no
        UserKnownHostsFile /dev/null
        LogLevel ERROR
        BatchMode yes
        CONFIG
        while read -r host; do
          $RFM_AGENT "$host" "/usr/sbin/sshd -D -e -f $PWD/sshd_config" 2>"sshd-$host" &
        done <"$RFM_HOSTS"
        while read -r host; do
          for try in $(seq 100); do
            ! (exec 3<>"/dev/tcp/$host/22") 2>/dev/null || break
            sleep 0.05
          done
        done <"$RFM_HOSTS"
        $cluster --hosts "$RFM_HOSTS" --agent "ssh -F $PWD/ssh_config" "$@"
        """
      let one = try runs.train("one", ranks: 2)
      #expect(one.succeeded, "\(one)")
      let outcome = try onHosts(2, script, runs.arguments("many")).wait()
      #expect(outcome.succeeded, "\(outcome)")
      let names = try json(runs.path("many") + "/environment.json")["hosts"]?.arrayValue
      #expect(names?.compactMap(\.textValue) == ["rfm-host-1", "rfm-host-2"])
      #expect(try runs.endedAlike("one", "many"), "\(outcome)")
    }
  }
}
