import Foundation
import Testing

@testable import Checkpoints
@testable import Foundations
@testable import Networks

extension Jobs {
  /// What a training may do besides the plain update: clipping, averages, stages of their own, an early
  /// end.
  @Suite struct TrainingHabits {
    private static let settings = [
      "training.clip_norm=1.5", "training.average=0.75", "training.label_smoothing=0.1",
      "training.freeze=block1", "training.optimizer.stage_rates=[block2=0.25]",
      "training.batch_norm=synchronized", "evaluation.every_steps=2", "checkpoint.every_steps=3",
    ]

    private func weights(_ runs: TinyRuns, _ name: String, step: Int, _ file: String = "model")
      throws -> [String: [Float]]
    {
      let path = "\(runs.store(name).folder(step: step))/\(file).safetensors"
      return Dictionary(
        uniqueKeysWithValues: try Safetensors.read(path).map { ($0.name, $0.values) })
    }

    /// All of them together: on one and two ranks, and ended and resumed, to the last bit.
    @Test func habitsAreTheSameOnOneAndTwoRanksAndAfterAResume() throws {
      let runs = try TinyRuns()
      for ranks in [1, 2] {
        let outcome = try runs.train(
          "on-\(ranks)", Self.settings + ["training.batch_per_rank=\(4 / ranks)"], ranks: ranks)
        #expect(outcome.succeeded, "\(outcome)")
      }
      for (steps, more) in [(5, []), (8, ["--resume"])] {
        let outcome = try runs.train(
          "in-parts", Self.settings + ["training.batch_per_rank=2", "training.steps=\(steps)"],
          ranks: 2, more: more)
        #expect(outcome.succeeded, "\(outcome)")
      }
      for name in ["on-2", "in-parts"] {
        #expect(try runs.endedAlike(name, "on-1"), "\(name)")
        let file = "average.safetensors"
        #expect(try bytes(runs.latest(name, file)) == bytes(runs.latest("on-1", file)), "\(name)")
      }

      // What was frozen has not moved; what was not has, the average behind the weights.
      let (first, last) = (
        try weights(runs, "on-1", step: 3), try weights(runs, "on-1", step: 8)
      )
      let average = try weights(runs, "on-1", step: 8, "average")
      let isFrozen = { (name: String) in
        ["conv1", "bn1", "conv2", "bn2", "block1"].contains(name.split(separator: ".")[0])
          && !name.contains("running")
      }
      #expect(first.keys.contains(where: isFrozen) && Set(average.keys) == Set(last.keys))
      for (name, values) in last {
        #expect((first[name] == values) == isFrozen(name), "\(name)")
        #expect((average[name] == values) == isFrozen(name), "\(name)")
      }

      // The average is a detector of its own: what was told of it is what it does.
      let output = runs.folder.file("of-the-average")
      let outcome = try Job.run(
        "rfm",
        [
          "evaluate", "--checkpoint", runs.latest("on-1", "average.safetensors"), "--data",
          try SharedData.validation, "--output", output,
        ], ranks: 1)
      #expect(outcome.succeeded, "\(outcome)")
      let lines = try MetricsFile.read(runs.path("on-1") + "/metrics.jsonl")
      let told = try #require(lines.last { $0["validation_average_auc"] != nil })
      let found = try json("\(output)/metrics.json")
      #expect(told["step"] == .integer(8))
      #expect(told["validation_average_auc"] == found["auc"] ?? found["overall"]?["auc"])
      #expect(told["validation_average_loss"] != told["validation_loss"])

      // Norms are told, and clipping makes another training.
      let norms = try runs.steps("on-1").map { try #require($0["gradient_norm"]?.doubleValue) }
      #expect(norms.count == 8 && norms.contains { $0 > 1.5 })
      let free = try runs.train(
        "free", Self.settings + ["training.batch_per_rank=4", "training.clip_norm=1000"])
      #expect(free.succeeded, "\(free)")
      #expect(try runs.losses("free").first == runs.losses("on-1").first)
      #expect(try runs.losses("free") != runs.losses("on-1"))
    }

    /// A limit that is never reached, rates of 1 and an average change no bit of the weights.
    @Test func habitsThatDoNothingChangeNothing() throws {
      let runs = try TinyRuns()
      let plain = try runs.train("plain")
      #expect(plain.succeeded, "\(plain)")
      let outcome = try runs.train(
        "same",
        [
          "training.clip_norm=1000000", "training.average=0.9",
          "training.optimizer.stage_rates=[block1=1, block5=1]",
        ])
      #expect(outcome.succeeded, "\(outcome)")
      #expect(try runs.endedAlike("plain", "same"))
    }

    /// It saves where it ends, on all ranks; going on there is nothing to do, unless it is given more
    /// patience.
    @Test func aTrainingWithoutImprovementEndsEarly() throws {
      let runs = try TinyRuns()
      // So small a rate that nothing changes but running statistics, and loss only rises or falls.
      let settings = [
        "training.optimizer.learning_rate=1e-12", "evaluation.every_steps=1",
        "evaluation.metric=accuracy", "evaluation.patience=2", "checkpoint.every_steps=100",
        "training.steps=30",
      ]
      let outcome = try runs.train("early", settings, ranks: 2)
      #expect(outcome.succeeded, "\(outcome)")
      #expect(
        outcome.standardError.contains("no better accuracy in 2 validations: the training ends"),
        "\(outcome)")
      let step = try #require(runs.store("early").latestStep)
      #expect(try step < 30 && runs.steps("early").count == step)
      let accuracies = try MetricsFile.read(runs.path("early") + "/metrics.jsonl").compactMap {
        $0["validation_accuracy"]?.doubleValue
      }
      #expect(accuracies.count == step)
      #expect(accuracies.suffix(2).max()! <= accuracies.dropLast(2).max()!)

      let again = try runs.train("early", settings, ranks: 2, more: ["--resume"])
      #expect(again.succeeded, "\(again)")
      #expect(again.standardError.contains("the run is complete: \(step) steps"), "\(again)")
      let patient = try runs.train(
        "early", settings + ["evaluation.patience=3"], ranks: 2, more: ["--resume"])
      #expect(patient.succeeded, "\(patient)")
      #expect(try #require(runs.store("early").latestStep) > step)
    }
  }
}
