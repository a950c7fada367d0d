import Foundation
import Testing

@testable import Checkpoints
@testable import Configuration
@testable import FaceShards
@testable import Foundations
@testable import HierarchicalData
@testable import Images

extension Jobs {
  /// From a folder of image files to the name of the method behind a fake, every command in turn.
  @Suite struct Pipeline {
    /// What the steps before left, made once.
    private struct Stage: Sendable {
      let runs: TinyRuns
      let images: ImageFolder
      let packing: Job.Outcome
      /// A checkpoint trained on what was packed.
      let checkpoint: String

      var packed: String { runs.folder.file("packed") }
      var all: String { packed + "/*.h5" }
      func file(_ name: String) -> String { runs.folder.file(name) }
    }

    private static let made = Result { () throws -> Stage in
      let runs = try TinyRuns()
      remove = runs.folder.path
      atexit {
        if let path = Pipeline.remove { try? FileManager.default.removeItem(atPath: path) }
      }
      let shards = try FilePattern.expand([SharedData.folder + "/*.h5"])
      let images = try ImageFolder(at: runs.folder.file("faces"), from: shards)
      // Cut short in the middle.
      let name = try #require(
        FileManager.default.subpaths(atPath: images.path + "/real")?.sorted().first {
          $0.hasSuffix(".jpg")
        })
      let whole = try bytes(images.path + "/real/" + name)
      try images.write(Array(whole[..<(whole.count / 2)]), to: "real/\(name).broken.jpg")

      let packed = runs.folder.file("packed")
      let packing = try Job.run(
        "rfm", pack(images.path, to: packed) + ["--images-per-shard", "30"], ranks: 2)
      guard packing.succeeded else { throw SharedData.Failure(description: "\(packing)") }
      let training = try runs.train(
        "chain", ["data.train=\(packed)/train-*.h5", "data.validation=\(packed)/validation-*.h5"],
        ranks: 2)
      guard training.succeeded else { throw SharedData.Failure(description: "\(training)") }
      return Stage(
        runs: runs, images: images, packing: packing,
        checkpoint: runs.path("chain") + "/checkpoints/best")
    }
    nonisolated(unsafe) private static var remove: String?

    private static func pack(_ input: String, to output: String) -> [String] {
      ["pack", "--input", input, "--output", output, "--size", "48"]
    }

    private let stage: Stage

    init() throws { stage = try Self.made.get() }

    private func apply(
      _ command: Applying, ranks: Int, output: String, more: [String] = []
    ) throws {
      let outcome = try Job.run(
        "rfm",
        command.arguments(
          checkpoint: stage.checkpoint, data: stage.all, output: output) + more, ranks: ranks)
      #expect(outcome.succeeded, "\(outcome)")
    }

    private func table(_ path: String) throws -> [[String]] {
      String(decoding: try bytes(path), as: UTF8.self).split(separator: "\n").map {
        $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      }
    }

    // MARK: Packing

    @Test func filesOfEveryKindArePackedAndABrokenOneIsNamedAndCounted() throws {
      let set = try ShardSet(patterns: [stage.all])
      #expect(set.count == stage.images.count && set.count == 80)
      #expect(set.height == 48 && set.width == 48)
      var counts: [String: Int] = [:]
      for method in set.methods { counts[set.methodNames[Int(method)], default: 0] += 1 }
      #expect(counts == stage.images.counts)
      let remarks = stage.packing.standardError
      #expect(remarks.contains(".broken.jpg: "), "\(stage.packing)")
      #expect(remarks.contains("1 of 81 files give no face"), "\(stage.packing)")
      #expect(!stage.runs.folder.names("packed").contains { !$0.hasSuffix(".h5") })
    }

    @Test func noSourceIsInTwoSplits() throws {
      var splits: [String: String] = [:]
      for split in ["train", "validation", "test"] {
        let set = try ShardSet(patterns: ["\(stage.packed)/\(split)-*.h5"])
        #expect(Set(set.labels) == [0, 1])
        for source in Set(try set.readSources()) {
          #expect(splits.updateValue(split, forKey: source) == nil, "\(source) in two splits")
        }
      }
      #expect(splits.count > 3)
    }

    @Test func packingIsTheSameOnAnyNumberOfRanks() throws {
      let alone = stage.file("packed-alone")
      let outcome = try Job.run(
        "rfm", Self.pack(stage.images.path, to: alone) + ["--images-per-shard", "30"])
      #expect(outcome.succeeded, "\(outcome)")
      let names = stage.runs.folder.names("packed")
      #expect(names.count >= 4 && stage.runs.folder.names("packed-alone") == names)
      for name in names {
        let isTheSame = try bytes(alone + "/" + name) == bytes(stage.packed + "/" + name)
        #expect(isTheSame, "\(name)")
      }
    }

    @Test func strictPackingStopsAtABrokenImageAndLeavesNothing() throws {
      let output = stage.file("strict")
      let outcome = try Job.run(
        "rfm", Self.pack(stage.images.path, to: output) + ["--strict"], ranks: 2)
      #expect(outcome.isRefusal(65, ".broken.jpg", "--strict"), "\(outcome)")
      #expect(stage.runs.folder.names("strict").isEmpty)
    }

    @Test func packingRefusesWhatItCannotUse() throws {
      let folder = try TestFolder()
      func refusal(_ input: String, _ output: String) throws -> Job.Outcome {
        try Job.run("rfm", Self.pack(input, to: output), ranks: 2)
      }
      let missing = try refusal(folder.file("none"), folder.file("out"))
      #expect(missing.isRefusal(74, folder.file("none"), "No such file"), "\(missing)")
      let empty = try refusal(folder.path, folder.file("out"))
      #expect(empty.isRefusal(65, folder.path, "real/"), "\(empty)")
      // A class without images.
      try FileManager.default.copyItem(
        atPath: stage.images.path + "/real", toPath: folder.file("real"))
      let oneClass = try refusal(folder.path, folder.file("out"))
      #expect(oneClass.isRefusal(65, folder.path, "no fake images"), "\(oneClass)")
      // A file where the output folder should be, and shards that are there already.
      let file = try #require(
        FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String }
          .first { $0.hasSuffix(".ppm") })
      let inTheWay = try refusal(stage.images.path, folder.file(file))
      #expect(inTheWay.isRefusal(74, folder.file(file)), "\(inTheWay)")
      let before = try bytes(stage.packed + "/train-00000.h5")
      let again = try refusal(stage.images.path, stage.packed)
      #expect(again.isRefusal(64, stage.packed, "--overwrite"), "\(again)")
      #expect(try bytes(stage.packed + "/train-00000.h5") == before)
      #expect(folder.names("out").isEmpty)
    }

    // MARK: Training

    @Test func theRunFolderHoldsWhatIsPromised() throws {
      let run = stage.runs.path("chain")
      let names = Set(stage.runs.folder.names("runs/chain"))
      #expect(
        names.isSuperset(of: ["config.yaml", "environment.json", "metrics.jsonl", "checkpoints"]))
      #expect(
        Set(stage.runs.folder.names("runs/chain/checkpoints"))
          == ["best", "latest", "step-00000004", "step-00000008"])
      let steps = try stage.runs.steps("chain")
      #expect(steps.count == 8)
      for key in ["step", "epoch", "loss", "learning_rate", "images_per_second"] {
        #expect(steps.allSatisfy { $0[key]?.doubleValue != nil }, "\(key)")
      }
      let lines = try MetricsFile.read(run + "/metrics.jsonl")
      let validations = lines.filter { $0["validation_auc"]?.doubleValue != nil }
      #expect(validations.map { $0["step"]?.integerValue } == [4, 8])
      for name in ["state.json", "model.safetensors", "optimizer.safetensors", "prototypes.h5"] {
        #expect(FileManager.default.fileExists(atPath: stage.checkpoint + "/" + name), "\(name)")
      }
      // The resolved configuration is one that trains the same.
      let resolved = try Configuration.load(path: run + "/config.yaml")
      #expect(resolved.data.crop == 40 && resolved.augmentation.maxHeight == 21)
      let environment = try json(run + "/environment.json")
      for library in ["rfm", "onednn", "openblas", "hdf5", "mpi"] {
        let version = environment["versions"]?[library]?.textValue ?? ""
        #expect(version.contains(/[0-9]+\.[0-9]+/), "\(library): \(version)")
      }
    }

    // MARK: Applying

    @Test func evaluationScoresEveryImageAlikeOnOneAndTwoRanks() throws {
      let set = try ShardSet(patterns: [stage.all])
      let paths = try set.names(of: Array(0..<set.count)).map(\.path)
      let sources = try set.readSources()
      var tables: [[[String]]] = []
      for ranks in [1, 2] {
        let output = stage.file("evaluation-\(ranks)")
        try apply(.evaluate, ranks: ranks, output: output)
        #expect(stage.runs.folder.names("evaluation-\(ranks)") == ["metrics.json", "scores.csv"])
        let rows = try table(output + "/scores.csv")
        let metrics = try json(output + "/metrics.json")
        // Logits are the network's, probabilities calibrated as the training has found it.
        let temperature = try #require(metrics["calibration"]?["temperature"]?.doubleValue)
        #expect(
          rows.first?.joined(separator: ",")
            == "index,path,source,label,method,logit_real,logit_fake,probability_fake")
        #expect(rows.count == set.count + 1)
        for (i, row) in rows.dropFirst().enumerated() {
          #expect(
            row.prefix(5) == [
              "\(i)", paths[i], sources[i], "\(set.labels[i])",
              set.methodNames[Int(set.methods[i])],
            ])
          let values = row.suffix(3).compactMap { Double($0) }
          #expect(values.count == 3)
          #expect(abs(values[2] - 1 / (1 + exp((values[0] - values[1]) / temperature))) < 1e-5)
        }
        for key in ["auc", "ap", "accuracy", "eer", "loss"] {
          #expect(metrics[key]?.doubleValue != nil, "\(key)")
        }
        for rate in ["1e-2", "1e-3", "1e-4"] {
          #expect(metrics["tpr_at_fpr"]?[rate]?.doubleValue != nil, "\(rate)")
        }
        #expect(metrics["images"] == 80 && metrics["real"] == 40 && metrics["fake"] == 40)
        #expect(
          metrics["methods"]?.members?.map(\.name).sorted() == Array(set.methodNames.dropFirst()))
        #expect(metrics["sources"]?["auc"]?.doubleValue != nil)
        tables.append(rows)
      }
      for (a, b) in zip(tables[0].dropFirst(), tables[1].dropFirst()) {
        for column in 5...7 {
          let (x, y) = (try #require(Double(a[column])), try #require(Double(b[column])))
          #expect(abs(x - y) <= 1e-5 * max(1, abs(x)))
        }
      }
    }

    @Test(arguments: ["fam", "cam"]) func mapsAreInShardOrderAndAlikeOnOneAndTwoRanks(
      kind: String
    ) throws {
      let count = try ShardSet(patterns: [stage.all]).count
      var maps: [[Float]] = []
      var logits: [[Float]] = []
      for ranks in [1, 2] {
        let output = stage.file("\(kind)-\(ranks).h5")
        try apply(.attention, ranks: ranks, output: output, more: ["--kind", kind])
        let file = try HDF5File(reading: output)
        let attention = try file.dataset("attention")
        #expect(attention.shape == [count, 40, 40])
        #expect(attention.type == .floatingPoint(bits: 32))
        let scores = try file.dataset("logits")
        #expect(scores.shape == [count, 2])
        #expect(scores.type == .floatingPoint(bits: 32))
        let told = try file.attribute("kind")?.text
        #expect(told == kind)
        maps.append(try attention.readAll(as: Float.self))
        logits.append(try scores.readAll(as: Float.self))
      }
      let largest = try #require(maps[0].map(abs).max())
      #expect(largest > 0 && maps[0].allSatisfy(\.isFinite))
      if kind == "fam" { #expect(maps[0].allSatisfy { $0 >= 0 }) }
      let apart = zip(maps[0], maps[1]).map { abs($0 - $1) }.max() ?? .infinity
      #expect(apart <= 1e-5 * largest)
      let scoresApart = zip(logits[0], logits[1]).map { abs($0 - $1) }.max() ?? .infinity
      #expect(scoresApart <= 1e-5)

      let output = stage.file("scores-\(kind)")
      try apply(.evaluate, ranks: 1, output: output, more: ["--no-localisation"])
      for (i, row) in try table(output + "/scores.csv").dropFirst().enumerated() {
        let fake = try #require(Float(row[6]))
        #expect(abs(fake - logits[0][2 * i + 1]) <= 1e-4, "image \(i)")
      }
    }

    @Test func prototypesAndAttributionAreAlikeOnOneAndTwoRanks() throws {
      let set = try ShardSet(patterns: [stage.all])
      let methods = Array(set.methodNames.dropFirst())
      var files: [PrototypesFile] = []
      var reports: [JSON] = []
      for ranks in [1, 2] {
        let folder = "prototypes-\(ranks)"
        let path = stage.file(folder + "/p.h5")
        try apply(.prototypes, ranks: ranks, output: path, more: ["--images-per-method", "4"])
        let file = try HDF5File(reading: path)
        let shape = try file.dataset("prototypes").shape
        let counts = try file.dataset("counts").readAll(as: Int64.self)
        let names = try file.dataset("method_names").readStrings()
        let format = try file.attribute("format")?.text
        let version = try file.attribute("version")?.wholeNumber
        #expect(shape == [methods.count, 40, 40])
        #expect(counts == methods.map { _ in 4 })
        #expect(names == methods)
        #expect(format == "rfm-prototypes" && version == 1)
        files.append(try PrototypesFile(reading: path))
        let pictures = stage.runs.folder.names(folder).filter { $0.hasSuffix(".png") }
        #expect(pictures.count == methods.count + 1)
        for picture in pictures {
          let image = try ImageDecoder.decode(path: stage.file("\(folder)/\(picture)"))
          #expect(Set(image.pixels).count > 8, "\(picture) is blank")
        }

        let output = stage.file("attribution-\(ranks)")
        let outcome = try Job.run(
          "rfm",
          Applying.attribute.arguments(
            checkpoint: stage.checkpoint, data: stage.all, output: output,
            prototypes: stage.file("prototypes-1/p.h5")), ranks: ranks)
        #expect(outcome.succeeded, "\(outcome)")
        let report = try json(output + "/attribution.json")
        #expect(report["images"] == 40)
        for kind in ["plain", "centred"] {
          let rows = try #require(report[kind]?["confusion"]?.arrayValue)
          let counts = rows.compactMap { $0.arrayValue?.compactMap(\.integerValue) }
          #expect(counts.map(\.count) == methods.map { _ in methods.count })
          #expect(counts.joined().reduce(0, +) == 40)
          let right = counts.indices.map { counts[$0][$0] }.reduce(0, +)
          let accuracy = try #require(report[kind]?["accuracy"]?.doubleValue)
          #expect(abs(accuracy - Double(right) / 40) < 1e-9)
          #expect(report["prototype_similarity"]?[kind]?.arrayValue?.count == methods.count)
          // The threshold is the one chosen on the images that calibrated the prototypes.
          let calibration = files[0].calibration
          let threshold =
            kind == "plain" ? calibration.plainThreshold : calibration.centredThreshold
          #expect(threshold != nil && report[kind]?["threshold"]?.doubleValue == threshold)
          for figure in ["accepted_known", "auroc_left_out", "rejected_left_out"] {
            let value = try #require(report[kind]?[figure]?.doubleValue, "\(figure)")
            #expect((0...1).contains(value), "\(figure)")
          }
          #expect(report[kind]?["auroc_known_unknown"] == .null)
        }
        reports.append(report)
      }
      let apart = zip(files[0].prototypes.maps, files[1].prototypes.maps).map { abs($0 - $1) }.max()
      #expect((apart ?? .infinity) <= 1e-5)
      for kind in ["plain", "centred"] {
        #expect(reports[0][kind]?["confusion"] == reports[1][kind]?["confusion"])
      }
    }

    @Test func methodsWithoutPrototypeAreCountedAsUnknown() throws {
      // Prototypes of one method, made from a shard that has no other.
      let path = stage.file("one-method.h5")
      let writer = try ShardWriter(
        path: path, height: 48, width: 48, methodNames: ["real", "face-swap"])
      let set = try ShardSet(patterns: [stage.all])
      var image = [UInt8](repeating: 0, count: set.imageSize)
      for sample in 0..<set.count where set.methodNames[Int(set.methods[sample])] == "face-swap" {
        try image.withUnsafeMutableBufferPointer { try set.readImage(sample, into: $0) }
        try image.withUnsafeBufferPointer {
          try writer.append(image: $0, method: 1, source: "\(sample)")
        }
      }
      try writer.finish()
      let prototypes = stage.file("one-method-prototypes.h5")
      let made = try Job.run(
        "rfm",
        Applying.prototypes.arguments(
          checkpoint: stage.checkpoint, data: path, output: prototypes), ranks: 2)
      #expect(made.succeeded, "\(made)")
      let output = stage.file("one-method")
      let outcome = try Job.run(
        "rfm",
        Applying.attribute.arguments(
          checkpoint: stage.checkpoint, data: stage.all, output: output, prototypes: prototypes),
        ranks: 2)
      #expect(outcome.succeeded, "\(outcome)")
      let report = try json(output + "/attribution.json")
      let known = stage.images.counts["face-swap"]
      #expect(report["images"]?.integerValue == known)
      #expect(report["unknown_images"]?.integerValue == known.map { 40 - $0 })
      #expect(report["plain"]?["auroc_known_unknown"]?.doubleValue != nil)
    }
  }
}
