import Foundation
import Testing

@testable import Configuration
@testable import FaceShards
@testable import Foundations

extension Jobs {
  @Suite struct CommandLine {
    /// The commands that `rfm --help` lists.
    private func commands() throws -> [String] {
      let help = try Job.run("rfm", ["--help"])
      #expect(help.succeeded && help.standardError.isEmpty, "\(help)")
      let list = help.standardOutput.split(separator: "SUBCOMMANDS:").last ?? ""
      return list.matches(of: /\n  ([a-z]+)/).map { String($0.1) }
    }

    @Test func everyCommandTeachesWithAnExample() throws {
      let commands = try commands()
      for name in [
        "synthesize", "pack", "train", "evaluate", "attention", "prototypes", "attribute",
        "explain", "export", "compare", "benchmark",
      ] {
        #expect(commands.contains(name), "\(commands)")
      }
      for name in commands where name != "help" {
        let help = try Job.run("rfm", [name, "--help"])
        #expect(help.succeeded && help.standardError.isEmpty, "\(help)")
        let text = help.standardOutput
        #expect(text.lowercased().contains("example"), "\(name)")
        #expect(text.contains(try Regex("\n +(mpirun .*)?rfm \(name) ")), "\(name)")
      }
    }

    @Test func helpListsEveryKeyOfTheConfiguration() throws {
      func words(_ text: String) -> String {
        text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
      }
      let help = words(try Job.run("rfm", ["train", "--help"]).standardOutput)
      for key in Configuration.keys {
        let name = try #require(key.path.split(separator: ".").last)
        #expect(help.contains("\(name): "), "\(key.path)")
        #expect(help.contains(words(key.documentation)), "\(key.path)")
      }
    }

    @Test func theVersionIsOneLineFromOneRank() throws {
      for ranks in [nil, 2] {
        let outcome = try Job.run("rfm", ["--version"], ranks: ranks)
        #expect(outcome.succeeded, "\(outcome)")
        #expect(outcome.standardOutput == RunVersions.rfm + "\n", "\(outcome)")
      }
    }

    @Test(arguments: [
      ["bogus"], ["train"], ["train", "--config"], ["evaluate", "--bogus"],
      ["evaluate", "--checkpoint", "c", "--data", "d", "--output", "o", "--threads", "0"],
      ["evaluate", "--checkpoint", "c", "--data", "d", "--output", "o", "--threads", "1000000000"],
      ["pack", "--input", "i", "--output", "o", "--threads", "9223372036854775807"],
      ["synthesize", "--output", "o", "--threads", "4097"],
      ["attention", "--checkpoint", "c", "--data", "d", "--output", "o", "--kind", "map"],
      ["synthesize", "--output", "o", "--size", "7"], ["pack", "--input", "i"],
      ["synthesize", "--output", "o", "--self-blended", "d", "--size", "128"],
      ["synthesize", "--output", "o", "--self-blended", "d", "--videos", "2"],
      [
        "prototypes", "--checkpoint", "c", "--data", "d", "--output", "o", "--images-per-method",
        "0",
      ],
      ["benchmark", "--steps", "-1"], ["status"],
      ["benchmark", "--allreduce", "--largest-megabytes", "0.001"],
      ["benchmark", "--compression", "bfloat16"],
      ["benchmark", "--allreduce", "--ranks-per-host", "2"],
      ["compare", "--config", "c", "--methods", "sfe,best"],
      ["compare", "--config", "c", "--models", "resnet18,resnet18"],
      ["compare", "--config", "c", "--models", "resnet18,resnet19"],
      ["evaluate", "--checkpoint", "c", "--data", "d", "--output", "o", "--degrade", "jpeg=0"],
      ["evaluate", "--checkpoint", "c", "--data", "A=d", "--data", "e", "--output", "o"],
      ["evaluate", "--checkpoint", "c", "--data", "A=d", "--data", "A=e", "--output", "o"],
      ["evaluate", "--checkpoint", "c", "--data", "d", "--output", "o", "--bootstrap", "99"],
      [
        "evaluate", "--checkpoint", "c", "--data", "A=d", "--data", "B=e", "--output", "o",
        "--against", "s",
      ],
      ["explain", "--checkpoint", "c", "-", "-"],
      ["explain", "--checkpoint", "c", "i", "--miss-rate", "0.1"],
      ["explain", "--checkpoint", "c", "i", "--miss-rate", "0.1", "--false-alarm-rate", "1"],
      [
        "explain", "--checkpoint", "c", "i", "--miss-rate", "0.1", "--false-alarm-rate", "0.1",
        "--threshold", "0.4",
      ],
      ["export", "--checkpoint", "c"],
      ["export", "--checkpoint", "c", "--output", "o", "--crop", "7"],
    ]) func wrongUsageIsExplainedWithStatus64(arguments: [String]) throws {
      for ranks in [nil, 2] {
        let outcome = try Job.run("rfm", arguments, ranks: ranks)
        #expect(outcome.status == 64 && !outcome.timedOut, "\(outcome)")
        #expect(outcome.leftovers.isEmpty && outcome.standardOutput.isEmpty, "\(outcome)")
        let said = outcome.standardError.split(separator: "\n").filter { $0.hasPrefix("Error: ") }
        #expect(said.count == 1, "one rank speaks: \(outcome)")
      }
    }

    /// Names of files and what is in them come from anywhere, and an error quotes them.
    @Test func errorsAddressNoTerminal() throws {
      let folder = try TestFolder()
      let hostile = folder.file("a\u{1b}[2J\u{9b}31m.h5")
      try folder.write("no shard", to: "a\u{1b}[2J\u{9b}31m.h5")
      for arguments in [
        ["inspect", hostile], ["inspect", hostile + "x"],
        [
          "evaluate", "--checkpoint", try TinyRuns.checkpoint.get().path, "--data", hostile,
          "--output", folder.file("out"),
        ],
        ["explain", "--checkpoint", try TinyRuns.checkpoint.get().path, hostile],
      ] {
        let outcome = try Job.run("rfm", arguments)
        #expect(outcome.status != 0 && !outcome.timedOut, "\(outcome)")
        let said = outcome.standardError + outcome.standardOutput
        #expect(said.lowercased().contains(/\\(u\{1b\}|x1b)\[2j/), "\(outcome)")
        #expect(!said.unicodeScalars.contains { $0 == "\u{1b}" || $0 == "\u{9b}" }, "\(outcome)")
      }
    }

    /// Between quotes the shell leaves `~` and variables to us, and nobody wants folders called so.
    @Test func pathsThatNoShellExpandedAreExpandedOrRefused() throws {
      let folder = try TestFolder()
      let run = { (output: String) in
        try Job.run(
          "rfm",
          ["synthesize", "--output", output, "--images-per-class", "15", "--size", "64"],
          environment: ["HOME": folder.path, "RFM_TEST_FOLDER": folder.path],
          directory: folder.path)
      }
      for (output, made) in [
        ("~/home", "home"), ("${RFM_TEST_FOLDER}/a", "a"), ("$RFM_TEST_FOLDER/b$$c", "b$c"),
      ] {
        let outcome = try run(output)
        #expect(outcome.succeeded, "\(outcome)")
        #expect(folder.everything.contains("\(made)/train-00000.h5"), "\(folder.names())")
      }
      for (output, words) in [
        ("~nobody/x", "'~nobody' is not expanded"),
        ("${RFM_TEST_UNSET}/x", "RFM_TEST_UNSET is not set"),
      ] {
        let outcome = try run(output)
        #expect(outcome.status == 64, "\(outcome)")
        #expect(outcome.standardError.contains("--output"), "\(outcome)")
        #expect(outcome.standardError.contains(words), "\(outcome)")
      }
      #expect(folder.names().sorted() == ["a", "b$c", "home"], "\(folder.names())")

      // A pattern needs quotes; a file that is there is meant as it is.
      let name = folder.file("x$RFM_TEST_UNSET.h5")
      try FileManager.default.copyItem(atPath: folder.file("a/test-00000.h5"), toPath: name)
      for path in [name, "~/a/test-00000.h5", "${RFM_TEST_FOLDER}/a/test-00000.h5"] {
        let outcome = try Job.run(
          "rfm", ["inspect", path],
          environment: ["HOME": folder.path, "RFM_TEST_FOLDER": folder.path])
        #expect(outcome.succeeded, "\(outcome)")
      }
    }

    /// Every option and argument that takes a path.
    @Test(arguments: [
      ["train", "--config", "~x"], ["compare", "--config", "~x"],
      ["compare", "--config", "c", "--data", "~x"], ["compare", "--config", "c", "--output", "~x"],
      ["pack", "--input", "~x", "--output", "o"], ["pack", "--input", "i", "--output", "~x"],
      ["synthesize", "--output", "~x"], ["synthesize", "--output", "o", "--self-blended", "~x"],
      ["inspect", "~x"],
      ["evaluate", "--checkpoint", "~x", "--data", "d", "--output", "o"],
      ["evaluate", "--checkpoint", "c", "--data", "~x", "--output", "o"],
      ["evaluate", "--checkpoint", "c", "--data", "d", "--output", "~x"],
      ["evaluate", "--checkpoint", "c", "--data", "A=~x", "--output", "o"],
      ["evaluate", "--checkpoint", "c", "--data", "d", "--output", "o", "--against", "~x"],
      ["attention", "--checkpoint", "c", "--data", "d", "--output", "~x"],
      ["prototypes", "--checkpoint", "c", "--data", "d", "--output", "~x"],
      ["attribute", "--checkpoint", "c", "--data", "d", "--prototypes", "~x", "--output", "o"],
      ["attribute", "--checkpoint", "c", "--data", "d", "--prototypes", "p", "--output", "~x"],
      ["explain", "--checkpoint", "c", "~x"],
      ["explain", "--checkpoint", "c", "--output", "~x", "i"],
      ["explain", "--checkpoint", "c", "--prototypes", "~x", "i"],
      ["explain", "--checkpoint", "c", "--landmark-model", "~x", "i"],
      ["calibrate", "--checkpoint", "~x", "--data", "d"],
      ["calibrate", "--checkpoint", "c", "--data", "~x"],
      ["calibrate", "--checkpoint", "c", "--data", "d", "--output", "~x"],
      ["export", "--checkpoint", "~x", "--output", "o"],
      ["export", "--checkpoint", "c", "--output", "~x"],
      ["status", "~x"], ["report", "~x"], ["report", "r", "--checkpoint", "~x"],
      ["report", "r", "--data", "~x"],
      ["report", "r", "--output", "~x"],
      ["benchmark", "--scaling", "--step", "~x"],
      ["benchmark", "--scaling", "--reduction", "~x"],
    ]) func everyPathIsExpanded(arguments: [String]) throws {
      let outcome = try Job.run("rfm", arguments)
      #expect(outcome.status == 64, "\(outcome)")
      #expect(outcome.standardError.contains("'~x' is not expanded"), "\(outcome)")
    }

    @Test func aSettingWithoutValueIsWrongUsage() throws {
      let outcome = try TinyRuns().train("x", ["training.steps"], ranks: 2)
      #expect(outcome.isRefusal(64, "--set training.steps", "section.key=value"), "\(outcome)")
    }

    @Test(arguments: ["bash", "zsh", "fish"]) func shellsGetCompletions(shell: String) throws {
      let outcome = try Job.run("rfm", ["--generate-completion-script", shell])
      #expect(outcome.succeeded, "\(outcome)")
      #expect(outcome.standardOutput.contains("synthesize"), "\(outcome)")
    }

    @Test func theBenchmarkTellsImagesPerSecondAndSecondsOfEachPhase() throws {
      let outcome = try Job.run(
        "rfm",
        [
          "benchmark", "--model", "xception-tiny", "--crop", "64", "--batch", "4", "--steps", "2",
          "--warmup", "1", "--threads", "1", "--json",
        ], ranks: 2)
      #expect(outcome.succeeded, "\(outcome)")
      let report = try JSON(parsing: Array(outcome.standardOutput.utf8))
      #expect(report["ranks"] == 2 && report["crop"] == 64)
      #expect((report["images_per_second"]?.doubleValue ?? 0) > 0)
      let phases = report["seconds_per_phase"]?.members?.map(\.name) ?? []
      #expect(Set(phases).isSuperset(of: ["attention", "erase", "forward", "backward", "update"]))
    }

    /// More shards than the library keeps open, in random order.
    @Test func anImageOfManyShardsIsReadAtOnceFromAFileThatIsOpen() throws {
      let folder = try TestFolder()
      let made = try Job.run(
        "rfm",
        [
          "synthesize", "--output", folder.file("d"), "--images-per-class", "300", "--size", "64",
          "--images-per-shard", "2",
        ])
      #expect(made.succeeded, "\(made)")
      let outcome = try Job.run(
        "rfm",
        [
          "benchmark", "--loading", folder.file("d/train-*.h5"), "--crop", "64", "--batch", "8",
          "--images", "3000", "--json",
        ])
      #expect(outcome.succeeded, "\(outcome)")
      let report = try JSON(parsing: Array(outcome.standardOutput.utf8))
      #expect((report["shards"]?.integerValue ?? 0) > 150, "\(outcome)")
      #expect((report["images_per_second"]?.doubleValue ?? 0) > 0)
      #expect(report["opens_per_image"] == 0, "\(outcome)")
      let reads = report["reads_per_image"]?.doubleValue ?? 0
      #expect((1...1.05).contains(reads), "\(outcome)")

      // An index is kept beside as few as one likes, too.
      let shards = try FilePattern.expand([folder.file("d/test-*.h5")])
      let kept = try Job.run("rfm", ["inspect", "--index"] + shards)
      let line = kept.standardOutput
      #expect(kept.succeeded && line.contains(" images in \(shards.count) shards, "), "\(kept)")
      let path = String(line.prefix { $0 != ":" })
      #expect(FileManager.default.fileExists(atPath: path), "\(kept)")
      #expect(path.hasPrefix(folder.file("d/.")), "\(kept)")
    }

    /// Here all ranks are on one host.
    @Test(arguments: [(1, [], "alone"), (2, [], "memory"), (2, ["--messages"], "messages")])
    func theBenchmarkTellsHowGradientsAreSummed(ranks: Int, flags: [String], means: String) throws {
      let outcome = try Job.run(
        "rfm",
        [
          "benchmark", "--model", "xception-tiny", "--crop", "64", "--batch", "2", "--steps", "1",
          "--warmup", "1", "--threads", "1", "--json",
        ] + flags, ranks: ranks)
      #expect(outcome.succeeded, "\(outcome)")
      let report = try JSON(parsing: Array(outcome.standardOutput.utf8))
      #expect(report["gradient_sums"]?.textValue == means, "\(outcome)")
    }

    /// From measurements on two ranks and on one to a prediction for many.
    @Test func measuredReductionsAndAStepBecomeAPrediction() throws {
      let folder = try TestFolder()
      let reduction = try Job.run(
        "rfm", ["benchmark", "--allreduce", "--largest-megabytes", "0.25", "--json"], ranks: 2)
      #expect(reduction.succeeded, "\(reduction)")
      try folder.write(reduction.standardOutput, to: "reduction.json")
      let series = try #require(json(folder.file("reduction.json"))["series"]?.arrayValue)
      #expect(series.map { $0["compression"]?.textValue } == ["none", "bfloat16"])
      for one in series {
        let sizes = one["points"]?.arrayValue?.map { $0["bytes"]?.integerValue }
        #expect(sizes == (0...8).map { 1024 << $0 }, "\(reduction)")
      }

      let step = try Job.run(
        "rfm",
        [
          "benchmark", "--model", "xception-tiny", "--crop", "64", "--batch", "4", "--steps", "2",
          "--warmup", "1", "--threads", "1", "--json",
        ])
      #expect(step.succeeded, "\(step)")
      try folder.write(step.standardOutput, to: "step.json")
      let files = [
        "--step", folder.file("step.json"), "--reduction", folder.file("reduction.json"),
      ]
      let prediction = try Job.run("rfm", ["benchmark", "--scaling", "--json"] + files)
      #expect(prediction.succeeded, "\(prediction)")
      let rows = try #require(
        JSON(parsing: Array(prediction.standardOutput.utf8)).arrayValue, "\(prediction)")
      #expect(rows.compactMap { $0["ranks"]?.integerValue } == (0...10).map { 1 << $0 })
      let alone = try #require(json(folder.file("step.json"))["seconds_per_step"]?.doubleValue)
      let first = try #require(rows.first?["seconds_per_step"]?.doubleValue)
      #expect((first - alone).magnitude < 1e-9 * alone)
      // And what each rank of many has to do, of 10 million images in 10,000 shards.
      let costs = try #require(rows.last?["costs"], "\(prediction)")
      #expect(costs["ranks"]?.integerValue == 1024 && costs["images"]?.integerValue == 10_000_000)
      #expect(costs["start_files"]?.integerValue == 10_000)
      #expect(costs["start_files_of_others"]?.integerValue == 32)
      let table = try Job.run("rfm", ["benchmark", "--scaling", "--ranks", "64"] + files)
      #expect(table.succeeded && table.standardOutput.contains("messages"), "\(table)")

      let swapped = try Job.run(
        "rfm", ["benchmark", "--scaling", "--step", folder.file("reduction.json")])
      #expect(swapped.isRefusal(65, folder.file("reduction.json"), "rfm benchmark"), "\(swapped)")
      // A network that is slow to nothing: of sizes that cost but latency there is no bandwidth.
      let least = try Job.run(
        "rfm", ["benchmark", "--allreduce", "--largest-megabytes", "0.002"], ranks: 2)
      #expect(least.succeeded && least.standardOutput.contains("bandwidth "), "\(least)")
      let lonely = try Job.run("rfm", ["benchmark", "--allreduce"])
      #expect(lonely.isRefusal(64, "two ranks"), "\(lonely)")
    }
  }
}
