import Foundation
import Testing

@testable import FaceShards

/// The commands that apply a detector to shards.
enum Applying: String, CaseIterable, Sendable {
  case evaluate, attention, prototypes, attribute

  /// Arguments; what is written goes to `output`, a folder or a file as the command has it.
  func arguments(
    checkpoint: String, data: String, output: String, prototypes: String? = nil
  ) -> [String] {
    [rawValue, "--checkpoint", checkpoint, "--data", data, "--output", output, "--threads", "1"]
      + (self == .attribute
        ? ["--prototypes", prototypes ?? checkpoint + "/prototypes.h5"] : [])
  }

  /// The name of what it writes, so that the ending fits.
  var outputName: String {
    switch self {
    case .evaluate, .attribute: "results"
    case .attention, .prototypes: "results.h5"
    }
  }
}

extension Jobs {
  /// Whatever is wrong, on whichever rank: one line that says so, the status that fits, no hang, no
  /// process left, nothing half-written.
  @Suite struct Errors {
    private let runs: TinyRuns
    private var folder: TestFolder { runs.folder }

    init() throws { runs = try TinyRuns() }

    /// Nothing with a preliminary name is left, and no checkpoint was made.
    private func expectNothingHalfWritten(sourceLocation: SourceLocation = #_sourceLocation) {
      let left = folder.everything.filter {
        $0.contains("partial") || $0.hasSuffix("/state.json") || $0.hasPrefix("results")
          || $0.contains(".packing")
      }
      #expect(left.isEmpty, "\(left)", sourceLocation: sourceLocation)
    }

    private func apply(_ command: Applying, data: String, ranks: Int? = 2) throws -> Job.Outcome {
      try Job.run(
        "rfm",
        command.arguments(
          checkpoint: TinyRuns.checkpoint.get().path, data: data,
          output: folder.file(command.outputName)),
        ranks: ranks)
    }

    /// The training shards again, in this test's folder.
    private func copyOfTrainingShards() throws -> [String] {
      try FilePattern.expand([SharedData.train]).map { path in
        let copy = folder.file("copy-" + (path as NSString).lastPathComponent)
        try FileManager.default.copyItem(atPath: path, toPath: copy)
        return copy
      }
    }

    // MARK: Configuration

    @Test(arguments: [1, 2, 4]) func anUnknownKeyIsNamedWithTheNearest(ranks: Int) throws {
      let outcome = try runs.train("x", ["training.optimizer.learnin_rate=1"], ranks: ranks)
      #expect(
        outcome.isRefusal(
          65, "training.optimizer.learnin_rate", "'training.optimizer.learning_rate'"),
        "\(outcome)")
      #expect(folder.names() == ["config.yaml"])
    }

    @Test func aMistakeInTheFileIsNamedWithItsLine() throws {
      try folder.write("run: {name: x}\ntraining:\n  steps: many\n", to: "bad.yaml")
      let path = folder.file("bad.yaml")
      let outcome = try Job.run("rfm", ["train", "--config", path], ranks: 2)
      #expect(outcome.isRefusal(65, "\(path):3", "training.steps", "many"), "\(outcome)")
    }

    @Test func settingsThatContradictEachOtherAreRefused() throws {
      let outcome = try runs.train("x", ["training.epochs=1", "training.steps=4"], ranks: 2)
      #expect(outcome.isRefusal(65, "training.epochs", "training.steps"), "\(outcome)")
    }

    @Test func aMissingConfigurationIsNamed() throws {
      let path = folder.file("none.yaml")
      let outcome = try Job.run("rfm", ["train", "--config", path], ranks: 2)
      #expect(outcome.isRefusal(74, path, "No such file"), "\(outcome)")
    }

    // MARK: Shards

    @Test func shardsThatAreNotThereAreNamed() throws {
      let pattern = folder.file("none-*.h5")
      let training = try runs.train("x", ["data.train=\(pattern)"], ranks: 2)
      #expect(training.isRefusal(74, pattern, "no file matches"), "\(training)")
      let validating = try runs.train("x", ["data.validation=\(folder.file("v.h5"))"], ranks: 2)
      #expect(validating.isRefusal(74, folder.file("v.h5"), "no such file"), "\(validating)")
      for command in Applying.allCases {
        let outcome = try apply(command, data: pattern)
        #expect(outcome.isRefusal(74, pattern, "no file matches"), "\(outcome)")
      }
      expectNothingHalfWritten()
    }

    @Test func aTruncatedShardIsNamed() throws {
      let shards = try copyOfTrainingShards()
      let whole = try bytes(shards[2])
      try Data(whole[..<(whole.count / 2)]).write(to: URL(filePath: shards[2]))
      let pattern = folder.file("copy-*.h5")
      let training = try runs.train("x", ["data.train=\(pattern)"], ranks: 2)
      #expect(training.isRefusal(65, shards[2], "truncated"), "\(training)")
      for command in Applying.allCases {
        let outcome = try apply(command, data: pattern)
        #expect(outcome.isRefusal(65, shards[2], "truncated"), "\(outcome)")
      }
      expectNothingHalfWritten()
    }

    @Test func aFileThatIsNoShardIsNamed() throws {
      try folder.write("not HDF5 at all", to: "text.h5")
      let text = try runs.train("x", ["data.train=\(folder.file("text.h5"))"], ranks: 2)
      #expect(text.isRefusal(65, folder.file("text.h5")), "\(text)")
      let other = try TinyRuns.checkpoint.get().path + "/prototypes.h5"
      let prototypes = try runs.train("x", ["data.train=\(other)"], ranks: 2)
      #expect(prototypes.isRefusal(65, other, "not a shard", "rfm-prototypes"), "\(prototypes)")
    }

    @Test(arguments: Applying.allCases) func pixelsThatFailTheirChecksumEndTheCommand(
      command: Applying
    ) throws {
      // The last image but one of the set, a fake or its neighbour: rank 1's part.
      let shards = try copyOfTrainingShards()
      let last = try #require(shards.last)
      let shard = try Shard(reading: last)
      let row = try #require(shard.labels.lastIndex(of: 1))
      shard.close()
      try damagePixels(of: last, row: row)
      let pattern = folder.file("copy-*.h5")
      let arguments = command.arguments(
        checkpoint: try TinyRuns.checkpoint.get().path, data: pattern,
        output: folder.file(command.outputName))
      let outcome = try Job.run("rfm", arguments, ranks: 2)
      #expect(outcome.isRefusal(65, last, "row \(row)", "checksum"), "\(outcome)")
      #expect(outcome.standardError.contains("rfm: rank 1: "), "\(outcome)")
      let left = folder.everything.filter { $0.hasPrefix("results") && $0 != "results" }
      #expect(left.isEmpty, "\(left)")
    }

    /// All is well until the seventh step, where rank 1 comes upon the damage; the checkpoint before
    /// it stays, whole.
    @Test func damageThatOneRankMeetsInTheMidstOfTrainingEndsAllRanks() throws {
      let shards = try copyOfTrainingShards()
      let sizes = try shards.map { try Shard(reading: $0).count }
      // Sequential, 8 images a step: step 7 has samples 48 to 55, rank 1 from 52 on.
      var (shard, row) = (0, 53)
      while row >= sizes[shard] { (shard, row) = (shard + 1, row - sizes[shard]) }
      try damagePixels(of: shards[shard], row: row)
      let settings = [
        "data.train=\(folder.file("copy-*.h5"))", "data.order=sequential", "training.steps=20",
      ]
      let outcome = try runs.train("x", settings, ranks: 2)
      #expect(outcome.isRefusal(65, shards[shard], "row \(row)", "checksum"), "\(outcome)")
      #expect(outcome.standardError.contains("rfm: rank 1: "), "\(outcome)")
      #expect(try runs.losses("x").count == 6)
      let names = folder.names("runs/x/checkpoints")
      #expect(names.contains("step-00000004") && !names.contains { $0.contains("partial") })

      // With the shard repaired the run goes on.
      try restore(shards[shard], from: shard)
      let resumed = try runs.train("x", settings, ranks: 2, more: ["--resume"])
      #expect(resumed.succeeded, "\(resumed)")
      #expect(try runs.losses("x").count == 20)
    }

    /// Puts the original in the place of a damaged copy.
    private func restore(_ path: String, from shard: Int) throws {
      let original = try FilePattern.expand([SharedData.train])[shard]
      try Data(bytes(original)).write(to: URL(filePath: path))
    }

    @Test func imagesSmallerThanTheCropAreRefused() throws {
      let training = try runs.train("x", ["data.crop=80"], ranks: 2)
      #expect(training.isRefusal(65, "crop of 80", "64x64"), "\(training)")
      let small = try folder.shard("small.h5", methods: [0, 1, 0, 1, 1], side: 32)
      for command in Applying.allCases {
        let outcome = try apply(command, data: small)
        #expect(outcome.isRefusal(65, small, "crop of 40", "32x32"), "\(outcome)")
      }
      let mixed = try runs.train("x", ["data.train=[\(try SharedData.train),\(small)]"], ranks: 2)
      #expect(mixed.isRefusal(65, small, "32x32", "64x64"), "\(mixed)")
    }

    /// Before the first step, not at the first validation hours later.
    @Test func validationImagesSmallerThanTheCropAreRefusedAtTheStart() throws {
      let small = try folder.shard("small.h5", methods: [0, 1, 0, 1], side: 32)
      let training = try runs.train("x", ["data.validation=\(small)"], ranks: 2)
      #expect(training.isRefusal(65, small, "crop of 40", "32x32"), "\(training)")
      #expect(!folder.everything.contains { $0.hasPrefix("runs") }, "\(folder.everything)")
    }

    /// Ranks whose disks hold other shards under the same names would each take part of something
    /// else.
    @Test func ranksThatSeeDifferentShardsAreNamed() throws {
      let shards = try FilePattern.expand([SharedData.test, SharedData.validation])
      for (rank, path) in [shards[0], shards[shards.count - 1]].enumerated() {
        try FileManager.default.createDirectory(
          atPath: folder.file("rank\(rank)"), withIntermediateDirectories: false)
        try FileManager.default.copyItem(
          atPath: path, toPath: folder.file("rank\(rank)/images.h5"))
      }
      for key in ["train", "validation"] {
        let training = try RankFolders.run(
          folder.path, runs.arguments("x", ["data.\(key)=images.h5"]))
        #expect(training.isRefusal(65, "images.h5: rank 1 on ", " sees ", "rank 0 "), "\(training)")
      }
      for command in Applying.allCases {
        let outcome = try RankFolders.run(
          folder.path,
          command.arguments(
            checkpoint: TinyRuns.checkpoint.get().path, data: "images.h5",
            output: folder.file(command.outputName)))
        #expect(outcome.isRefusal(65, "images.h5: rank 1 on ", " sees ", "rank 0 "), "\(outcome)")
      }
      expectNothingHalfWritten()
    }

    /// Memory that is not there is no fault of the program: one line, no stack.
    @Test func memoryThatIsNotThereIsAskedForInOneLine() throws {
      let outcome = try Job.run(
        "/bin/sh",
        [
          "-c", "ulimit -v 3000000 && exec \"$0\" \"$@\"", Job.product("rfm"), "explain",
          "--model", "xception-tiny", "--checkpoint",
          TinyRuns.checkpoint.get().path + "/model.safetensors", "--crop", "300", "--batch",
          "4096",
          "--threads", "1", folder.path,
        ])
      #expect(outcome.isRefusal(74, "out of memory", "MiB", "--batch"), "\(outcome)")
    }

    @Test func aMissingClassIsRefusedWhereItIsNeeded() throws {
      let real = try folder.shard("real.h5", methods: [0, 0, 0, 0])
      let balanced = try runs.train("x", ["data.train=\(real)"], ranks: 2)
      #expect(balanced.isRefusal(65, "fake", "data.sampling"), "\(balanced)")
      for command in [Applying.prototypes, .attribute] {
        let outcome = try apply(command, data: real)
        #expect(outcome.isRefusal(65, real, "no fake image"), "\(outcome)")
      }
      // Scores there are all the same; what needs both classes is null.
      let scored = try apply(.evaluate, data: real)
      #expect(scored.succeeded, "\(scored)")
      let metrics = try json(folder.file("results/metrics.json"))
      #expect(metrics["auc"]?.doubleValue == nil)
      #expect(metrics["images"] == 4)
    }

    // MARK: Weights and checkpoints

    @Test func weightsThatAreNotThereOrDoNotFitAreNamed() throws {
      let missing = folder.file("none.safetensors")
      let none = try runs.train("x", ["model.weights=\(missing)"], ranks: 2)
      #expect(none.isRefusal(74, missing, "No such file"), "\(none)")
      let tiny = try TinyRuns.checkpoint.get().path + "/model.safetensors"
      let other = try runs.train("x", ["model.name=xception", "model.weights=\(tiny)"], ranks: 2)
      #expect(other.isRefusal(65, tiny, "conv1.weight", "[16, 3, 3, 3]"), "\(other)")
      try folder.write("no weights here, only words", to: "text.safetensors")
      let text = folder.file("text.safetensors")
      let words = try runs.train("x", ["model.weights=\(text)"], ranks: 2)
      #expect(words.isRefusal(65, text), "\(words)")
      expectNothingHalfWritten()
    }

    @Test func aCheckpointThatIsDamagedOrNotThereIsNamed() throws {
      let checkpoint = folder.file("checkpoint")
      try FileManager.default.copyItem(
        atPath: TinyRuns.checkpoint.get().runs.path("tiny") + "/checkpoints/step-00000008",
        toPath: checkpoint)
      let weights = checkpoint + "/model.safetensors"
      try damage(weights, at: try bytes(weights).count - 100)
      let missing = folder.file("none")
      for command in Applying.allCases {
        let output = folder.file(command.outputName)
        let data = try SharedData.test
        let damaged = try Job.run(
          "rfm", command.arguments(checkpoint: checkpoint, data: data, output: output), ranks: 2)
        #expect(damaged.isRefusal(65, weights, "damaged"), "\(damaged)")
        let none = try Job.run(
          "rfm", command.arguments(checkpoint: missing, data: data, output: output), ranks: 2)
        #expect(none.isRefusal(74, missing, "No such file"), "\(none)")
      }
      let bare = try Job.run(
        "rfm",
        Applying.evaluate.arguments(
          checkpoint: TinyRuns.checkpoint.get().path + "/model.safetensors",
          data: SharedData.test, output: folder.file("results")) + ["--model", "xception"], ranks: 2
      )
      #expect(
        bare.isRefusal(65, "model.safetensors", "conv1.weight", "expected [32, 3, 3, 3]"),
        "\(bare)")
      #expect(!folder.everything.contains { $0.contains("partial") })
    }

    @Test func prototypesOfAnotherSizeOrKindAreRefused() throws {
      let runs = try TinyRuns.checkpoint.get()
      let shard = try FilePattern.expand([SharedData.test])[0]
      let base = [
        "attribute", "--checkpoint", runs.path, "--data", shard, "--output", folder.file("results"),
      ]
      let wrong = try Job.run("rfm", base + ["--prototypes", shard], ranks: 2)
      #expect(wrong.isRefusal(65, shard, "rfm-shard", "rfm-prototypes"), "\(wrong)")
      let missing = try Job.run("rfm", base + ["--prototypes", folder.file("p.h5")], ranks: 2)
      #expect(missing.isRefusal(74, folder.file("p.h5"), "No such file"), "\(missing)")
      expectNothingHalfWritten()
    }

    // MARK: Output

    /// A file where a folder should be; unlike permissions it stops everybody, root too.
    @Test func aPlaceThatCannotBeWrittenToIsNamed() throws {
      try folder.write("in the way", to: "file")
      let file = folder.file("file")
      let checkpoint = try TinyRuns.checkpoint.get().path
      let training = try runs.train("x", ["run.directory=\(file)"], ranks: 2)
      #expect(training.isRefusal(74, file, "Not a directory"), "\(training)")
      for command in Applying.allCases {
        let output = command == .evaluate || command == .attribute ? file : file + "/results.h5"
        let outcome = try Job.run(
          "rfm",
          command.arguments(checkpoint: checkpoint, data: SharedData.test, output: output),
          ranks: 2)
        #expect(outcome.isRefusal(74, file), "\(outcome)")
      }
      let synthesis = try Job.run(
        "rfm", ["synthesize", "--output", file, "--images-per-class", "20", "--size", "64"],
        ranks: 2)
      #expect(synthesis.isRefusal(74, file), "\(synthesis)")
      #expect(try bytes(file) == Array("in the way".utf8))
      expectNothingHalfWritten()
    }

    @Test func aDataSetIsNotWrittenOverAnother() throws {
      let before = try FilePattern.expand([SharedData.train]).map { try bytes($0) }
      let outcome = try Job.run(
        "rfm", ["synthesize", "--output", SharedData.folder, "--images-per-class", "20"], ranks: 2)
      #expect(outcome.isRefusal(74, try SharedData.folder, "--overwrite"), "\(outcome)")
      #expect(try FilePattern.expand([SharedData.train]).map { try bytes($0) } == before)
    }
  }
}
