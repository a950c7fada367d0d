import Foundation
import Testing

@testable import Checkpoints
@testable import FaceShards
@testable import ForgeryMining
@testable import Foundations

extension Jobs {
  /// Fakes that are made of real faces: while training, and as shards.
  @Suite struct SelfBlended {
    private static let settings = [
      "data.self_blended=0.5", "training.batch_norm=synchronized", "training.batch_per_rank=4",
      "augmentation.noise.probability=0.5",
    ]

    /// Ended and resumed, to the last bit, and only with the share that it began with.
    @Test func aTrainingThatMakesFakesGoesOnAsIfItHadNeverEnded() throws {
      let runs = try TinyRuns()
      let whole = try runs.train("whole", Self.settings, ranks: 2)
      #expect(whole.succeeded, "\(whole)")
      for (steps, more) in [(5, []), (8, ["--resume"])] {
        let outcome = try runs.train(
          "in-parts", Self.settings + ["training.steps=\(steps)"], ranks: 2, more: more)
        #expect(outcome.succeeded, "\(outcome)")
      }
      #expect(try runs.endedAlike("in-parts", "whole"))
      let plain = try runs.train("plain", Self.settings + ["data.self_blended=0"], ranks: 2)
      #expect(plain.succeeded, "\(plain)")
      #expect(try !runs.endedAlike("plain", "whole"))
      let other = try runs.train(
        "in-parts", Self.settings + ["data.self_blended=0.75", "training.steps=9"], ranks: 2,
        more: ["--resume"])
      #expect(other.isRefusal(65, "data.self_blended", "--force data.self_blended"), "\(other)")
    }

    /// From real faces alone, with prototypes of the one method that there is.
    @Test func aTrainingNeedsNoFakesAndHasPrototypesOfThoseThatItMakes() throws {
      let runs = try TinyRuns()
      let real = runs.folder.file("real.h5")
      let source = try ShardSet(patterns: [SharedData.train])
      let writer = try ShardWriter(
        path: real, height: 64, width: 64, methodNames: ["real"], hasSources: false)
      var image = [UInt8](repeating: 0, count: source.imageSize)
      for sample in 0..<source.count where source.labels[sample] == 0 {
        try image.withUnsafeMutableBufferPointer { try source.readImage(sample, into: $0) }
        try writer.append(image: image, method: 0)
      }
      try writer.finish()
      let refused = try runs.train("without", ["data.train=\(real)"])
      #expect(refused.isRefusal(65, "is fake", "data.self_blended: 1"), "\(refused)")
      let outcome = try runs.train(
        "real", ["data.train=\(real)", "data.self_blended=1", "augmentation.probability=1"])
      #expect(outcome.succeeded, "\(outcome)")
      let file = try PrototypesFile(reading: runs.latest("real", "prototypes.h5"))
      let epoch = try #require(file.epoch)
      #expect(epoch.methods == ["self-blended"])
      // 8 steps of 2 fakes, in an epoch of as many as there are real faces.
      #expect(epoch.counts == [16])
    }

    @Test func shardsOfThemAreMadeAlikeOnAnyNumberOfRanksAndMeasured() throws {
      let folder = try TestFolder()
      let arguments = ["synthesize", "--self-blended", try SharedData.train, "--seed", "3"]
      for (name, ranks) in [("one", nil), ("two", 2)] as [(String, Int?)] {
        let outcome = try Job.run(
          "rfm", arguments + ["--output", folder.file(name)], ranks: ranks)
        #expect(outcome.succeeded, "\(outcome)")
        #expect(outcome.standardOutput.contains("real faces and as many fakes"), "\(outcome)")
      }
      let names = folder.names("one").filter { !$0.hasPrefix(".") }
      #expect(names == folder.names("two").filter { !$0.hasPrefix(".") })
      #expect(names.first == "train-00000.h5")
      for name in names {
        #expect(try bytes(folder.file("one/\(name)")) == bytes(folder.file("two/\(name)")))
      }
      let set = try ShardSet(patterns: [folder.file("one/*.h5")])
      let source = try ShardSet(patterns: [SharedData.train])
      #expect(set.count == 2 * source.labels.count { $0 == 0 } && set.hasMasks)

      let again = try Job.run("rfm", arguments + ["--output", folder.file("one")])
      #expect(again.isRefusal(74, "--overwrite"), "\(again)")
      let own = try Job.run("rfm", arguments + ["--output", SharedData.folder])
      #expect(own.isRefusal(74, "choose another --output"), "\(own)")

      let checkpoint = try TinyRuns.checkpoint.get().path
      let output = folder.file("figures")
      let outcome = try Job.run(
        "rfm",
        [
          "evaluate", "--checkpoint", checkpoint, "--data", folder.file("one/*.h5"), "--output",
          output,
        ], ranks: 1)
      #expect(outcome.succeeded, "\(outcome)")
      let metrics = try json("\(output)/metrics.json")
      let localised = metrics["localisation"]?["fam"]?["methods"]?["self-blended"]
      #expect(localised?["inside_outside_ratio"]?.doubleValue != nil, "\(metrics)")
    }
  }
}
