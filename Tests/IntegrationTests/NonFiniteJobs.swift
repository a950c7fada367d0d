import Foundation
import Testing

@testable import Checkpoints
@testable import FaceShards
@testable import Networks

extension Jobs {
  /// Numbers that overflow, in real arithmetic: weights and images are chosen so that a convolution,
  /// or a gradient, is more than float32 holds.
  @Suite struct NonFinite {
    private let runs: TinyRuns
    private var folder: TestFolder { runs.folder }

    init() throws { runs = try TinyRuns() }

    /// One image after another, four a rank and step, nothing done to them.
    private let plain = [
      "data.order=sequential", "data.flip=false", "data.crop=64", "data.validation=null",
      "data.mean=0", "augmentation.method=none", "checkpoint.every_steps=100",
    ]

    /// A shard with a row for every letter: b is a black image, zeros to the detector, w a white one.
    private func shard(_ name: String, _ rows: String) throws -> String {
      let path = folder.file(name)
      let writer = try ShardWriter(
        path: path, height: 64, width: 64, methodNames: ["real", "blend"], hasSources: false)
      for (row, letter) in rows.enumerated() {
        let image = [UInt8](repeating: letter == "w" ? 255 : 0, count: 64 * 64 * 3)
        try writer.append(image: image, method: row % 2)
      }
      try writer.finish()
      return path
    }

    /// Weights with some of them changed.
    private func weights(_ change: (inout NamedTensor) -> Void) throws -> String {
      let path = folder.file("weights.safetensors")
      var tensors = try Safetensors.read(TinyRuns.checkpoint.get().path + "/model.safetensors")
      for i in tensors.indices { change(&tensors[i]) }
      try Safetensors.write(tensors, to: path)
      return path
    }

    /// The first convolution adds up 27 products: of black pixels none, of white ones 1e39, an
    /// infinity.
    private func weightsThatOverflowOnWhite() throws -> String {
      try weights { tensor in
        if tensor.name == "conv1.weight" { tensor.values = tensor.values.map { _ in 1e37 } }
      }
    }

    private func hasNoCheckpoint(_ name: String) -> Bool {
      folder.names("runs/\(name)/checkpoints").isEmpty
    }

    @Test func anOverflowOnOneRankStopsWithStepRankAndFirstLayer() throws {
      let data = try shard("data.h5", "bbbbbbbb" + "bbbbwbww")
      let outcome = try runs.train(
        "x", plain + ["data.train=\(data)", "model.weights=\(weightsThatOverflowOnWhite())"],
        ranks: 2)
      #expect(
        outcome.isRefusal(65, "step 2: not finite on rank 1: the output of conv1"), "\(outcome)")
      #expect(try runs.steps("x").count == 1)
      #expect(hasNoCheckpoint("x"))
    }

    /// Where statistics are joined every rank's numbers are lost, but at conv1 only one's.
    @Test func withJoinedStatisticsTheRankWhereItBeganIsNamed() throws {
      let data = try shard("data.h5", "bbbbbbwb")
      let outcome = try runs.train(
        "x",
        plain + [
          "data.train=\(data)", "model.weights=\(weightsThatOverflowOnWhite())",
          "training.batch_norm=synchronized",
        ], ranks: 2)
      #expect(
        outcome.isRefusal(65, "step 1: not finite on rank 1: the output of conv1"), "\(outcome)")
      #expect(hasNoCheckpoint("x"))
    }

    /// The loss is still a number: the features are small. Their gradients, differences of the
    /// classifier's weights, are not.
    @Test func gradientsThatOverflowAreFoundWhereTheyBegin() throws {
      let path = try weights { tensor in
        switch tensor.name {
        case "bn4.weight": tensor.values = tensor.values.map { _ in 0 }
        case "bn4.bias": tensor.values = tensor.values.map { _ in 1e-3 }
        case "fc.weight":
          for i in tensor.values.indices {
            tensor.values[i] = i < tensor.values.count / 2 ? -3e38 : 3e38
          }
        default: break
        }
      }
      // Of one image, or its share of a larger batch's loss would keep them finite; of the two, the real one
      // is the one that is taken for a fake.
      let outcome = try runs.train(
        "x", ["model.weights=\(path)", "training.batch_per_rank=1"], ranks: 2)
      #expect(outcome.isRefusal(65, "step 1: not finite on rank "), "\(outcome)")
      #expect(outcome.standardError.contains(": the gradients of conv4"), "\(outcome)")
      #expect(hasNoCheckpoint("x"))
    }

    @Test func weightsThatAnUpdateSpoilsAreNeverSaved() throws {
      let late = try runs.train("late", ["training.optimizer.learning_rate=1e36"], ranks: 2)
      #expect(
        late.isRefusal(65, "step 2: not finite on rank 0, 1: the", "learning_rate"), "\(late)")
      #expect(hasNoCheckpoint("late"))
      let saving = try runs.train(
        "saving", ["training.optimizer.learning_rate=1e38", "checkpoint.every_steps=1"], ranks: 2)
      #expect(saving.isRefusal(65, "step 1: not finite after the update"), "\(saving)")
      #expect(hasNoCheckpoint("saving"))
    }

    /// A step that is skipped leaves no trace: the run ends with the bits of one that never saw
    /// those images, with the running statistics and the optimizer's count.
    @Test func skippedStepsLeaveNoTrace() throws {
      let good = "bbbbbbbb"
      let data = try shard("data.h5", good + "bbbbwbbb" + good + good + "wbbwbbbb" + good)
      let clean = try shard("clean.h5", good + good + good + good)
      let settings =
        try plain + [
          "model.weights=\(weightsThatOverflowOnWhite())", "training.non_finite=skip",
        ]
      let outcome = try runs.train(
        "x", settings + ["data.train=\(data)", "training.steps=6"], ranks: 2)
      #expect(outcome.succeeded, "\(outcome)")
      #expect(
        outcome.standardError.contains(
          "step 2 was skipped: not finite on rank 1: the output of conv1"),
        "\(outcome)")
      #expect(
        outcome.standardError.contains(
          "step 5 was skipped: not finite on rank 0: the output of conv1"),
        "\(outcome)")
      let lines = try MetricsFile.read(runs.path("x") + "/metrics.jsonl")
      #expect(lines.map { $0["step"]?.integerValue } == Array(1...6))
      #expect(lines.map { $0["skipped_steps"]?.integerValue } == [nil, 1, nil, nil, 2, nil])
      #expect(lines.map { $0["loss"] == .null } == [false, true, false, false, true, false])

      let other = try runs.train(
        "clean", settings + ["data.train=\(clean)", "training.steps=4"], ranks: 2)
      #expect(other.succeeded, "\(other)")
      #expect(try runs.endedAlike("x", "clean"))

      // What was skipped is remembered over a stop.
      for (steps, more) in [(3, []), (6, ["--resume"])] {
        let part = try runs.train(
          "parts", settings + ["data.train=\(data)", "training.steps=\(steps)"], ranks: 2,
          more: more)
        #expect(part.succeeded, "\(part)")
      }
      #expect(try runs.endedAlike("x", "parts"))
    }

    @Test func tenSkippedStepsInARowStopTheTraining() throws {
      let data = try shard("data.h5", "bbbbwwww")
      let outcome = try runs.train(
        "x",
        plain + [
          "data.train=\(data)", "model.weights=\(weightsThatOverflowOnWhite())",
          "training.non_finite=skip", "training.steps=20",
        ], ranks: 2)
      #expect(
        outcome.isRefusal(65, "step 10: 10 steps in a row, not finite on rank 1"), "\(outcome)")
      #expect(hasNoCheckpoint("x"))
    }
  }
}
