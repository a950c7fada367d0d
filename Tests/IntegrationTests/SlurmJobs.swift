import Foundation
import Testing
import Training

extension Jobs {
  /// `launch/slurm.sbatch` under a real Slurm, which the test starts for itself.
  @Suite(.needs(.slurm)) struct Slurm {
    private let runs: TinyRuns
    private var folder: TestFolder { runs.folder }
    private static let settings = ["training.steps=48", "checkpoint.every_steps=7"]

    init() throws { runs = try TinyRuns() }

    /// Submits a training of two ranks, and ends when Slurm says that the job has.
    ///
    /// Standard output: the job's state and number of restarts at the end. Its log is in `log`.
    private func submitted(
      _ name: String, _ settings: [String], tasks: Int = 2, options: String = "",
      environment: [String: String] = [:]
    ) throws -> Job {
      try folder.write(
        """
        set -eu
        job=$(sbatch --parsable --ntasks \(tasks) --cpus-per-task 1 --output log \(options) "$@")
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
        ["bash", "submit", repository.path + "/launch/slurm.sbatch"]
          + runs.arguments(name, settings).dropFirst(),
        environment: ["RFM": Job.product("rfm"), "RFM_HOME": repository.path]
          .merging(environment) { $1 },
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
      let whole = try runs.train("whole", Self.settings, ranks: 2)
      #expect(whole.succeeded, "\(whole)")

      let job = try submitted("run", Self.settings)
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
      #expect(try runs.steps("run").map { $0["step"]?.integerValue } == Array(1...48))
    }

    /// Also after it was requeued, when Slurm's own signal does not come any more.
    @Test func beforeEveryTimeLimitItSavesAndReturnsToTheQueue() throws {
      let job = try submitted(
        "run", ["training.steps=1000000", "checkpoint.every_steps=1000000"],
        options: "--time 1 --signal B:USR1@1", environment: ["RFM_STOP_SECONDS": "57"])
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
