import Foundation
import Testing

@testable import Checkpoints
@testable import Configuration
@testable import FaceShards
@testable import Networks

extension Job {
  /// A job whose ranks have command lines of their own.
  ///
  /// - Parameter ranks: executable and arguments of each.
  static func run(
    apart ranks: [[String]], directories: [String]? = nil, timeLimit: Double = 60
  ) throws -> Outcome {
    // By the shell: mpirun's own way, with a colon between commands, crashes in Debian 13's Open MPI.
    func quoted(_ word: String) -> String {
      "'" + word.replacingOccurrences(of: "'", with: #"'\''"#) + "'"
    }
    let cases = ranks.enumerated().map { rank, words in
      let place = directories.map { "cd \(quoted($0[rank])) && " } ?? ""
      return "\(rank)) \(place)exec \(words.map(quoted).joined(separator: " ")) ;;"
    }
    let script = "case $OMPI_COMM_WORLD_RANK in \(cases.joined(separator: " ")) esac"
    return try run("/bin/sh", ["-c", script], ranks: ranks.count, timeLimit: timeLimit)
  }
}

extension Jobs {
  /// Ranks that are about to do different things are told apart before they do anything: by key or
  /// option, values and rank.
  @Suite struct Disagreements {
    private let runs: TinyRuns
    private var folder: TestFolder { runs.folder }
    private let rfm: String

    init() throws {
      runs = try TinyRuns()
      rfm = try Job.product("rfm")
    }

    /// Trains with settings of rank 1's own.
    private func train(
      _ common: [String] = [], other: [String], more: [String] = [], onlyOther: [String] = []
    ) throws -> Job.Outcome {
      let arguments = try [rfm] + runs.arguments("x", common) + more
      return try Job.run(
        apart: [arguments, arguments + onlyOther + other.flatMap { ["--set", $0] }])
    }

    /// Another value that a key takes, as it is written after `--set`.
    private func another(_ key: ConfigurationKey, than value: ConfigurationValue) throws -> String {
      switch (key.kind, value) {
      case (.boolean, .boolean(let value)): return "\(!value)"
      case (.choice(let names), .text(let name)): return try #require(names.first { $0 != name })
      case (.choice(let names), .none): return names[0]
      case (.channels, .numbers(let values)): return "\(values.map { $0 / 2 }[0].plain)"
      case (.range(let range, _), .numbers): return range.lowerBound.plain
      case (.integer(let range), .integer(let value)):
        return "\(range.contains(value + 1) ? value + 1 : value - 1)"
      case (.integer(let range), .none): return "\(range.lowerBound)"
      case (.number(let range), .number(let value)):
        return try #require([value / 2, 1e-4].first { $0 != value && range.contains($0) }).plain
      case (.text, _) where key.path == "model.weights":
        return try TinyRuns.checkpoint.get().path + "/model.safetensors"
      case (.text, _) where ["model.truncate", "training.freeze"].contains(key.path):
        return "block2"
      case (.text, .none) where key.path == "run.metrics_file":
        return folder.file("other.prom")
      case (.text, .text(let value)): return value + "-other"
      case (.texts, _) where key.path == "data.exclude_methods": return "face-swap"
      case (.texts, _) where key.path == "training.optimizer.stage_rates": return "block2=0.5"
      case (.texts, _):
        return try key.path == "data.train" ? SharedData.validation : SharedData.train
      default:
        Issue.record("\(key.path): what is another value than \(value)?")
        return ""
      }
    }

    /// Every key there is, one at a time, also those that are added later.
    @Test func aKeyOfTheConfigurationThatDiffersIsNamedOrHarmless() throws {
      let configuration = try Configuration.load(path: runs.arguments("x")[2])
      let page = try String(
        contentsOf: repository.appending(
          path: "Sources/Configuration/Configuration.docc/Settings.md"),
        encoding: .utf8)
      var refused = 0
      for key in Configuration.keys {
        let value = try another(key, than: key.get(configuration))
        // Xception has no branches that could be left out.
        let common = key.path == "model.drop_path" ? ["model.name=resnet18"] : []
        let outcome = try train(common, other: ["\(key.path)=\(value)"])
        if RankStatement.ownKeys.contains(key.path) {
          #expect(outcome.succeeded, "\(key.path): \(outcome)")
          #expect(page.contains("`\(key.path)`"), "\(key.path) is not documented as harmless")
          try FileManager.default.removeItem(atPath: folder.file("runs"))
          continue
        }
        refused += 1
        #expect(
          outcome.isRefusal(65, "\(key.path): rank 1 has ", ", rank 0 "), "\(key.path): \(outcome)")
        #expect(!folder.names().contains("runs"), "\(key.path): something was made")
      }
      #expect(refused > 50)
    }

    /// Where a rank would have crashed or hung, on whichever side it is.
    @Test func settingsThatWouldTearRanksApartAreRefused() throws {
      let joined = ["training.batch_norm=synchronized"]
      for other in [
        "training.accumulate=2", "training.steps=9", "communication.watchdog_seconds=0",
        "model.name=xception", "training.batch_per_rank=2",
      ] {
        let outcome = try train(joined, other: [other])
        #expect(
          outcome.isRefusal(65, other.split(separator: "=")[0] + ": rank 1 has "), "\(outcome)")
      }
      let several = try train(other: ["training.steps=9", "run.name=z"])
      #expect(
        several.isRefusal(
          65, "run.name: rank 1 has z, rank 0 x; training.steps: rank 1 has 9, rank 0 8"),
        "\(several)")
      #expect(!folder.names().contains("runs"))
    }

    @Test func whatSuitsAHostMayDifferAndChangesNoBit() throws {
      let alike = try runs.train("alike", ranks: 2)
      #expect(alike.succeeded, "\(alike)")
      // Another file with the same settings, and paths of shards where each rank has its own.
      let copy = folder.file("copy.yaml")
      try FileManager.default.copyItem(atPath: folder.file("config.yaml"), toPath: copy)
      let arguments = try [rfm] + runs.arguments("apart")
      let outcome = try Job.run(apart: [
        arguments,
        [rfm, "train", "--config", copy, "--set", "run.name=apart"]
          + ["--set", "training.threads=2", "--set", "data.prefetch=5"],
      ])
      #expect(outcome.succeeded, "\(outcome)")
      #expect(try runs.endedAlike("alike", "apart"))
    }

    @Test func ranksWithShardsOfTheirOwnNameThemAsTheyLike() throws {
      let shards = try FilePattern.expand([SharedData.train])
      let outcome = try train(
        ["data.assignment=shard", "data.train=\(shards[0])"], other: ["data.train=\(shards[1])"])
      #expect(outcome.succeeded, "\(outcome)")
    }

    @Test func theCommandAndItsOptionsAreCompared() throws {
      let checkpoint = try TinyRuns.checkpoint.get().path
      let evaluate =
        try [rfm]
        + Applying.evaluate.arguments(
          checkpoint: checkpoint, data: SharedData.test, output: folder.file("results"))
      let check = try [rfm] + runs.arguments("x") + ["--check"]
      let cases: [(one: [String], other: [String], words: String)] = [
        (
          try [rfm] + runs.arguments("x"), evaluate,
          "the command: rank 1 has evaluate, rank 0 train"
        ),
        (evaluate, try [rfm] + runs.arguments("x"), "the command: rank 1 has train"),
        (Array(check.dropLast()), check, "--check: rank 1 has given, rank 0 nothing"),
        (check, check + ["--set", "data.crop=41"], "data.crop: rank 1 has 41, rank 0 40"),
        (check, check + ["--resume"], "--resume: rank 1 has given"),
        (evaluate, evaluate + ["--batch", "3"], "--batch: rank 1 has 3, rank 0 nothing"),
        (
          evaluate, evaluate + ["--watchdog-seconds", "0"],
          "--watchdog-seconds: rank 1 has 0, rank 0 nothing"
        ),
        (
          evaluate + ["--watchdog-seconds", "0"], evaluate,
          "--watchdog-seconds: rank 1 has nothing, rank 0 0"
        ),
        (
          [rfm, "synthesize", "--output", folder.file("d"), "--seed", "1"],
          [rfm, "synthesize", "--output", folder.file("d"), "--seed", "2"],
          "--seed: rank 1 has 2, rank 0 1"
        ),
        (
          [rfm, "pack", "--input", "a", "--output", folder.file("d")],
          [rfm, "pack", "--input", "b", "--output", folder.file("d")],
          "--input: rank 1 has b, rank 0 a"
        ),
        (
          [rfm, "compare", "--config", folder.file("config.yaml")],
          [rfm, "compare", "--config", folder.file("config.yaml"), "--seeds", "4"],
          "--seeds: rank 1 has 4, rank 0 nothing"
        ),
        (
          [rfm, "inspect", "a.h5"], [rfm, "inspect", "a.h5", "b.h5"],
          "argument 2: rank 1 has b.h5, rank 0 nothing"
        ),
      ]
      for (one, other, words) in cases {
        let outcome = try Job.run(apart: [one, other])
        #expect(outcome.isRefusal(65, words), "\(outcome)")
      }
      // Threads are each rank's own.
      let threads = try Job.run(apart: [evaluate, evaluate.dropLast(1) + ["2"]])
      #expect(threads.succeeded, "\(threads)")
      #expect(folder.names() == ["config.yaml", "results"])
    }

    /// As on a host to which the program was not copied again.
    @Test func anotherBuildOfTheProgramIsRefused() throws {
      let other = folder.file("rfm")
      try Data(bytes(rfm) + [0]).write(to: URL(filePath: other))
      chmod(other, 0o755)
      let arguments = try runs.arguments("x")
      let outcome = try Job.run(apart: [[rfm] + arguments, [other] + arguments])
      #expect(
        outcome.isRefusal(65, "the build of rfm: rank 1 has ", "copy one rfm to every host"),
        "\(outcome)")
      #expect(!folder.names().contains("runs"))
    }

    /// As under an mpirun that hands the variable to its own host only.
    @Test func ranksThatWereToldToMultiplyOtherwiseAreRefused() throws {
      let arguments = try [rfm] + runs.arguments("x")
      let outcome = try Job.run(apart: [arguments, ["env", "RFM_GEMM=openblas"] + arguments])
      #expect(outcome.isRefusal(64, "RFM_GEMM", "mpirun -x RFM_GEMM"), "\(outcome)")
      #expect(folder.names() == ["config.yaml"])
    }

    /// A rank that fails before it has begun says why, whichever it is.
    @Test(arguments: [0, 1]) func aRankThatCannotBeginSaysWhy(rank: Int) throws {
      func run(_ wrong: [String]) throws -> Job.Outcome {
        var ranks = try Array(repeating: [rfm] + runs.arguments("x"), count: 2)
        ranks[rank] = [rfm] + wrong
        return try Job.run(apart: ranks)
      }
      let path = folder.file("none.yaml")
      let unreadable = try run(["train", "--config", path])
      #expect(unreadable.isRefusal(74, path, "No such file"), "\(unreadable)")
      let key = try run(runs.arguments("x", ["training.step=3"]))
      #expect(key.isRefusal(65, "training.step", "'training.steps'"), "\(key)")
      let usage = try run(["train", "--config", path, "--confg", path])
      #expect(usage.status == 64 && !usage.timedOut && usage.leftovers.isEmpty, "\(usage)")
      #expect(usage.standardError.contains("Error: Unknown option '--confg'"), "\(usage)")
      #expect(
        usage.standardError.contains("rfm: rank 1: the command line of this rank") == (rank == 1),
        "\(usage)")
      #expect(!folder.names().contains("runs"))
    }

    // MARK: Contents

    /// A file `name` in the working folder of each rank, of which rank 1's is another.
    private func copies(_ name: String, _ sources: [String]) throws -> [String] {
      try sources.enumerated().map { rank, source in
        let place = folder.file("rank\(rank)")
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: source, toPath: "\(place)/\(name)")
        return place
      }
    }

    /// Rank 0 reads a checkpoint, weights and prototypes for all: what other hosts have, if anything, is
    /// not looked at.
    @Test func weightsAndPrototypesAreThoseOfRankZero() throws {
      let checkpoint = try TinyRuns.checkpoint.get().path
      let places = try copies("nothing", [checkpoint + "/state.json", checkpoint + "/state.json"])
      for (name, file) in [("w.safetensors", "model.safetensors"), ("p.h5", "prototypes.h5")] {
        try FileManager.default.copyItem(
          atPath: "\(checkpoint)/\(file)", toPath: "\(places[0])/\(name)")
      }
      for command in Applying.allCases {
        func arguments(_ output: String) throws -> [String] {
          try [rfm]
            + command.arguments(
              checkpoint: "w.safetensors", data: SharedData.test, output: folder.file(output),
              prototypes: "p.h5") + ["--model", "xception-tiny", "--crop", "40"]
        }
        let both = try arguments("both-" + command.outputName)
        let outcome = try Job.run(apart: [both, both], directories: places)
        #expect(outcome.status == 0, "\(outcome)")
        let one = try Job.run(
          apart: [try arguments("one-" + command.outputName)], directories: [places[0]])
        #expect(one.status == 0, "\(one)")
        if command == .evaluate {
          // Other batches, so the last bits may differ.
          let scores = try ["both", "one"].map {
            String(
              decoding: try bytes(folder.file("\($0)-\(command.outputName)/scores.csv")),
              as: UTF8.self
            ).split(separator: "\n").dropFirst().compactMap {
              $0.split(separator: ",").last.flatMap { Double($0) }
            }
          }
          #expect(!scores[0].isEmpty && scores[0].count == scores[1].count)
          #expect(zip(scores[0], scores[1]).allSatisfy { abs($0 - $1) < 1e-5 })
        }
      }
    }

    /// What is wrong with rank 0's is said once, and every rank ends by itself.
    @Test func aCheckpointThatOnlyOtherHostsHaveIsRefused() throws {
      let checkpoint = try TinyRuns.checkpoint.get().path
      let weights = checkpoint + "/model.safetensors"
      let places = try copies("w.safetensors", [weights, weights])
      try FileManager.default.removeItem(atPath: places[0] + "/w.safetensors")
      let command =
        try [rfm]
        + Applying.evaluate.arguments(
          checkpoint: "w.safetensors", data: SharedData.test, output: folder.file("scores"))
      let outcome = try Job.run(apart: [command, command], directories: places)
      #expect(outcome.isRefusal(74, "w.safetensors"), "\(outcome)")
      // As the weights that a training begins from, and as what it goes on from.
      let train = try [rfm] + runs.arguments("x", ["model.weights=w.safetensors"])
      let begun = try Job.run(apart: [train, train], directories: places)
      #expect(begun.isRefusal(74, "w.safetensors"), "\(begun)")
      #expect(!folder.names().contains("scores"))
    }

    @Test func imagesThatDifferBetweenHostsAreRefused() throws {
      let checkpoint = try TinyRuns.checkpoint.get().path
      let state = checkpoint + "/state.json"
      let places = try copies("state.json", [state, state])
      for (rank, place) in places.enumerated() {
        for name in ["a", "b"].prefix(rank + 1) {
          try Data("P6 2 2 255 000000000000".utf8).write(to: URL(filePath: "\(place)/\(name).ppm"))
        }
      }
      let explain = [rfm, "explain", "--checkpoint", checkpoint]
      let images = try Job.run(
        apart: Array(repeating: explain + ["."], count: 2), directories: places)
      #expect(images.isRefusal(65, ".: the list of images: rank 1 on "), "\(images)")
    }

    @Test func aCheckOnSeveralRanksComparesTheirShards() throws {
      let (one, two) = (try SharedData.train, try SharedData.validation)
      let places = try copies(
        "d.h5", [try FilePattern.expand([one])[0], try FilePattern.expand([two])[0]])
      let check = try [rfm] + runs.arguments("x", ["data.train=d.h5"]) + ["--check"]
      let outcome = try Job.run(apart: [check, check], directories: places)
      #expect(outcome.isRefusal(65, "d.h5: rank 1 on ", " sees "), "\(outcome)")
      let alike = try Job.run("rfm", runs.arguments("x") + ["--check"], ranks: 2)
      #expect(alike.succeeded, "\(alike)")
      #expect(alike.standardOutput.split(separator: "\n").count == 3, "\(alike)")
    }
  }
}
