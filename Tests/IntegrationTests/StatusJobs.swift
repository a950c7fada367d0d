import Foundation
import Testing

@testable import Checkpoints
@testable import Foundations

extension Jobs {
  /// `rfm status` and `run.metrics_file`, of trainings that run, end, and are killed.
  @Suite struct Status {
    private let runs: TinyRuns

    init() throws { runs = try TinyRuns() }

    private func status(_ name: String) throws -> JSON {
      let outcome = try Job.run("rfm", ["status", runs.path(name), "--json"])
      #expect(outcome.succeeded, "\(outcome)")
      return try JSON(parsing: Array(outcome.standardOutput.utf8))
    }

    @Test func aTrainingIsFollowedFromItsFirstStepToItsEnd() throws {
      let metrics = runs.folder.file("rfm.prom")
      let settings = [
        "training.steps=4000", "checkpoint.every_steps=10", "run.metrics_file=\(metrics)",
        "data.validation=null",
      ]
      let job = try Job("rfm", runs.arguments("x", settings), ranks: 2)
      #expect(job.wait(until: { _ in runs.canResume("x", at: 12) }), "\(job.wait())")
      let during = try status("x")
      #expect(["training", "saving"].contains(during["state"]?.textValue), "\(during)")
      #expect(during["total_steps"] == 4000 && during["ranks"] == 2 && during["hosts"] == 1)
      #expect((during["step"]?.integerValue ?? 0) >= 12, "\(during)")
      #expect((during["updated_seconds_ago"]?.doubleValue ?? 99) < 60, "\(during)")
      #expect((during["checkpoint"]?["step"]?.integerValue ?? 0) >= 10, "\(during)")
      let slowest = during["slowest_rank"]
      #expect([0, 1].contains(slowest?["rank"]?.integerValue), "\(during)")
      #expect((slowest?["seconds_per_phase"]?["forward"]?.doubleValue ?? 0) > 0, "\(during)")
      let text = try String(contentsOfFile: metrics, encoding: .utf8)
      #expect(text.contains("rfm_training_running{run=\"x\"} 1\n"), "\(text)")
      #expect(text.contains("rfm_training_steps{run=\"x\"} 4000\n"), "\(text)")
      // Another's step, once it is killed, is still told, and that it was.
      for rank in job.ranks().values { kill(rank, SIGKILL) }
      _ = job.wait()
      let killed = try status("x")
      #expect(killed["state"] == "killed" && killed["seconds_left"] == nil, "\(killed)")
      #expect(killed["step"] == .integer(try runs.steps("x").count), "\(killed)")

      let step = try #require(runs.store("x").latestStep)
      let resumed = try runs.train(
        "x", settings + ["training.steps=\(step + 3)"], ranks: 2, more: ["--resume"])
      #expect(resumed.succeeded, "\(resumed)")
      let ended = try status("x")
      #expect(ended["state"] == "finished" && ended["step"] == .integer(step + 3), "\(ended)")
      #expect(ended["checkpoint"]?["step"] == .integer(step + 3), "\(ended)")
      #expect(
        try String(contentsOfFile: metrics, encoding: .utf8)
          .contains("rfm_training_state{run=\"x\",state=\"finished\"} 1\n"))
      // Nothing of the writing is left.
      let left = runs.folder.everything.filter { $0.hasPrefix("runs/") && $0.hasSuffix(".partial") }
      #expect(left.isEmpty, "\(left)")
      let shown = try Job.run("rfm", ["status", runs.path("x")])
      #expect(shown.standardOutput.contains(": finished, last heard of "), "\(shown)")
    }

    @Test func aTrainingThatFailsSaysSo() throws {
      let outcome = try runs.train(
        "x", ["training.optimizer.learning_rate=1e36", "data.validation=null"])
      #expect(outcome.status == 65, "\(outcome)")
      #expect(try status("x")["state"] == "failed")
    }

    /// A mistake is told at once, and none that comes later ends days of training.
    @Test func aMetricsFileThatCannotBeWrittenIsRefusedAtTheStart() throws {
      let outcome = try runs.train(
        "x", ["run.metrics_file=\(runs.folder.file("none/rfm.prom"))"], ranks: 2)
      #expect(outcome.isRefusal(74, "none/rfm.prom"), "\(outcome)")
    }

    @Test func whatIsNoRunFolderIsRefused() throws {
      for (path, status) in [(runs.folder.path, Int32(65)), (runs.folder.file("none"), 74)] {
        let outcome = try Job.run("rfm", ["status", path])
        #expect(outcome.isRefusal(status, path), "\(outcome)")
      }
    }
  }
}
