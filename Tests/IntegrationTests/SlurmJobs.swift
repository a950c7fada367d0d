import Foundation
import Testing

@testable import FaceShards
@testable import rfm

extension Jobs {
  /// `launch/slurm.sbatch` under a real Slurm, which the test starts for itself.
  @Suite(.needs(.slurm)) struct Slurm {
    private let runs: TinyRuns
    private var folder: TestFolder { runs.folder }
    /// So many that the training is not over before Slurm has passed on a signal.
    private static let steps = 160
    private static let settings = ["training.steps=\(steps)", "checkpoint.every_steps=7"]

    init() throws { runs = try TinyRuns() }

    /// Submits a training of two ranks, and ends when Slurm says that the job has.
    ///
    /// Standard output: the job's state and number of restarts at the end. Its log is in `log`.
    private func submitted(
      _ name: String, _ settings: [String], tasks: Int = 2, nodes: Int = 1, options: String = "",
      environment: [String: String] = [:]
    ) throws -> Job {
      let tasks = nodes > 1 ? "" : "--ntasks \(tasks)"
      try folder.write(
        """
        set -eu
        job=$(sbatch --parsable \(tasks) --cpus-per-task 1 --output log \(options) "$@")
        echo "$job" >number
        while :; do
          state=$(scontrol --oneliner show job "$job" | grep -o 'JobState=[A-Z]*')
          case $state in
            JobState=PENDING | JobState=RUNNING | JobState=COMPLETING) sleep 0.2 ;;
            *) break ;;
          esac
        done
        scontrol --oneliner show job "$job" | grep -o 'JobState=[A-Z]*\\|Restarts=[0-9]*\\|ExitCode=[0-9]*'

        """, to: "submit")
      return try Job(
        Facility.slurm.path,
        (nodes > 1 ? ["--nodes", "\(nodes)"] : [])
          + ["bash", "submit", repository.path + "/launch/slurm.sbatch"]
          + runs.arguments(name, settings).dropFirst(),
        environment: [
          "RFM": Job.product("rfm"), "RFM_HOME": repository.path,
          // All nodes are this machine, which may have nothing but the loopback.
          "OMPI_MCA_btl_tcp_if_include": "lo",
        ].merging(environment) { $1 },
        directory: folder.path, timeLimit: 120)
    }

    private var log: String {
      (try? String(contentsOfFile: folder.file("log"), encoding: .utf8)) ?? ""
    }

    /// Waits until the training has done so many steps and has a checkpoint.
    private func wait(_ job: Job, for name: String, step: Int) {
      let isThere = job.wait(until: { _ in runs.canResume(name, at: step) })
      #expect(isThere, "\(log)")
    }

    /// Runs a command of Slurm's beside the job.
    private func slurm(_ job: Job, _ command: String...) throws -> Job.Outcome {
      let configuration = try #require(job.environment("SLURM_CONF"))
      return try Job.run(
        "/usr/bin/env", command, environment: ["SLURM_CONF": configuration], timeLimit: 30)
    }

    /// A rank is killed, and the training restarted within the job; then Slurm wants the machine
    /// back, the job saves and returns to the queue, and goes on when it is its turn again.
    @Test func killedAndPreemptedItEndsWithTheBitsOfOneThatWasNot() throws {
      try killAndPreempt(launcher: "mpirun")
    }

    @Test(.needs(.slurmWithPMIx)) func killedAndPreemptedItDoesSoUnderSrunToo() throws {
      try killAndPreempt(launcher: "srun")
    }

    private func killAndPreempt(launcher: String) throws {
      let whole = try runs.train("whole", Self.settings, ranks: 2)
      #expect(whole.succeeded, "\(whole)")

      let job = try submitted("run", Self.settings, environment: ["RFM_LAUNCHER": launcher])
      wait(job, for: "run", step: 8)
      let victim = try #require(job.ranks()[1], "\(log)")
      kill(victim, SIGKILL)
      #expect(job.wait(until: { _ in log.contains("continuing ") }), "\(log)")
      wait(job, for: "run", step: 22)
      let number = try String(contentsOfFile: folder.file("number"), encoding: .utf8)
        .trimmingCharacters(in: .whitespacesAndNewlines)
      let told = try slurm(job, "scancel", "--batch", "--signal=USR1", number)
      #expect(told.succeeded, "\(told)")

      let outcome = job.wait()
      #expect(outcome.succeeded, "\(outcome)\n\(log)")
      #expect(
        outcome.standardOutput == "JobState=COMPLETED\nRestarts=1\nExitCode=0\n",
        "\(outcome)\n\(log)")
      for words in [
        "2 ranks on node, start 1", "restart 1 of 3", "stopped on request", "back into the queue",
        "2 ranks on node, start 2",
      ] {
        #expect(log.contains(words), "\(log)")
      }
      #expect(try runs.endedAlike("run", "whole"), "\(log)")
      #expect(try runs.steps("run").map { $0["step"]?.integerValue } == Array(1...Self.steps))
    }

    /// Also after it was requeued, when Slurm's own signal does not come any more.
    @Test func beforeEveryTimeLimitItSavesAndReturnsToTheQueue() throws {
      let job = try submitted(
        "run", ["training.steps=1000000", "checkpoint.every_steps=1000000"],
        options: "--time 1 --signal B:USR1@1", environment: ["RFM_STOP_SECONDS": "52"])
      #expect(job.wait(until: { _ in log.contains("2 ranks on node, start 3") }), "\(log)")
      let asked = log.components(separatedBy: "asked to make room: saving").count - 1
      #expect(asked == 2, "\(log)")
      #expect(log.components(separatedBy: "stopped on request at step").count == 3, "\(log)")
      #expect(log.contains("continuing "), "\(log)")
      let number = try String(contentsOfFile: folder.file("number"), encoding: .utf8)
        .trimmingCharacters(in: .whitespacesAndNewlines)
      #expect(try slurm(job, "scancel", number).succeeded)
      let outcome = job.wait()
      #expect(outcome.standardOutput.hasPrefix("JobState=CANCELLED\nRestarts=2\n"), "\(outcome)")
      #expect(outcome.leftovers.isEmpty, "\(outcome)")
    }

    /// Of two nodes one dies: Slurm puts the job back into the queue, and it goes on with the rank of the
    /// other.
    @Test func onFewerNodesItGoesOnWithFewerRanks() throws {
      let job = try submitted("run", Self.settings, nodes: 2, options: "--nodes 1-2")
      wait(job, for: "run", step: 8)
      // Drained too, or its daemon would report it as back.
      for state in ["drain", "down"] {
        let dead = try slurm(
          job, "scontrol", "update", "nodename=node2", "state=\(state)", "reason=test")
        #expect(dead.succeeded, "\(dead)")
      }
      let outcome = job.wait()
      #expect(
        outcome.standardOutput == "JobState=COMPLETED\nRestarts=1\nExitCode=0\n",
        "\(outcome)\n\(log)")
      for words in ["2 ranks on node[1-2], start 1", "1 ranks on node1, start 2", "continuing "] {
        #expect(log.contains(words), "\(words)\n\(log)")
      }
      #expect(try runs.steps("run").map { $0["step"]?.integerValue } == Array(1...Self.steps))
    }

    // MARK: srun

    /// Runs a command beside Slurm, to its end.
    private func beside(_ command: String...) throws -> Job.Outcome {
      try Job.run(Facility.slurm.path, command, directory: folder.path, timeLimit: 90)
    }

    private static let withPMIx =
      #"exec srun --mpi=pmix --kill-on-bad-exit=1 --ntasks 2 "$@""#

    /// Also within an allocation of more tasks. What was allocated is no rank.
    @Test func tasksThatMPIDidNotJoinAreRefusedOnce() throws {
      let (rfm, data) = (try Job.product("rfm"), try FilePattern.expand([SharedData.test])[0])
      for launcher in [["srun"], ["salloc", "--ntasks", "4", "srun"]] {
        let script = launcher.joined(separator: " ") + #" --mpi=none --ntasks 2 "$0" inspect "$1""#
        let outcome = try beside("bash", "-c", script, rfm, data)
        #expect(
          outcome.isRefusal(
            64, "2 processes were started by srun (SLURM_STEP_NUM_TASKS=2)", "srun --mpi=pmix"),
          "\(outcome)")
        #expect(outcome.lines(from: "rfm").count == 1, "\(outcome)")
      }
      let single = try beside("salloc", "--ntasks", "3", rfm, "inspect", data)
      #expect(single.succeeded && single.lines(from: "rfm").isEmpty, "\(single)")
      try folder.write("#!/bin/bash\n\"$@\"\n", to: "batch")
      let batch = try beside(
        "sbatch", "--wait", "--ntasks", "3", "--output", "log", "batch", rfm, "inspect", data)
      #expect(batch.succeeded && log.contains("shard of "), "\(batch)\n\(log)")
      // A task by itself is a job of one rank.
      let one = try beside("srun", "--mpi=none", "--ntasks", "1", rfm, "inspect", data)
      #expect(one.succeeded && one.standardOutput.contains("shard of "), "\(one)")
    }

    @Test(.needs(.slurmWithPMIx)) func tasksThatMPIJoinedAreRanksFromTheFirstMoment() throws {
      let output = folder.file("results")
      let work = try beside(
        "bash", "-c", Self.withPMIx, "-", Job.product("rfm"), "evaluate", "--checkpoint",
        TinyRuns.checkpoint.get().path, "--data", SharedData.test, "--output", output)
      #expect(work.succeeded, "\(work)")
      #expect(work.standardOutput.components(separatedBy: "written to").count == 2, "\(work)")

      // Before MPI has begun.
      let config = try runs.arguments("x")[2]
      let late = try beside(
        "bash", "-c", Self.withPMIx, "-", "bash", "-c",
        #"[ "$SLURM_PROCID" = 0 ] || set -- "$1.none"; exec "$0" train --config "$1""#,
        Job.product("rfm"), config)
      #expect(late.status != 0 && !late.timedOut && late.leftovers.isEmpty, "\(late)")
      #expect(late.standardError.contains("rfm: rank 1: can't open \(config).none: "), "\(late)")
    }

    /// The limit of time holds before MPI has begun, too.
    @Test(.needs(.slurmWithPMIx)) func aTaskThatStallsBeforeMPIHasBegunEndsTheStep() throws {
      let outcome = try beside(
        "bash", "-c", Self.withPMIx, "-", Job.product("mpi-checks"), "watch-begin", "1")
      #expect(!outcome.timedOut && outcome.leftovers.isEmpty, "\(outcome)")
      #expect(outcome.status != 0, "\(outcome)")
      #expect(
        outcome.standardError.contains("rank 0: waited 1.0 s in MPI_Init_thread (the limit)"),
        "\(outcome)")
    }

    /// What would fail again is not tried again.
    @Test func aWrongSettingEndsTheJobAtOnce() throws {
      let outcome = try submitted("run", ["training.step=4"], tasks: 1).wait()
      #expect(
        outcome.standardOutput == "JobState=FAILED\nRestarts=0\nExitCode=65\n",
        "\(outcome)\n\(log)")
      #expect(outcome.leftovers.isEmpty, "\(outcome)")
      #expect(log.contains("training.steps") && !log.contains("restart 1"), "\(log)")
    }
  }
}
