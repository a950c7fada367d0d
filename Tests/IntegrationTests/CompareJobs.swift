import Foundation
import Testing

@testable import Checkpoints
@testable import Configuration

extension Jobs {
  /// Trainings of several methods, one after another, compared.
  @Suite struct Compare {
    private let runs: TinyRuns

    init() throws { runs = try TinyRuns() }

    /// Arguments of a comparison of two methods in the folder `name`.
    private func arguments(_ name: String, _ more: [String] = []) throws -> [String] {
      let training = try runs.arguments("x", ["training.steps=6", "checkpoint.every_steps=3"])
      return ["compare"] + training.dropFirst() + [
        "--methods", "none,sfe", "--seeds", "2", "--data", try SharedData.test,
        "--output", runs.folder.file(name),
      ] + more
    }

    private func compare(_ name: String, _ more: [String] = []) throws -> Job.Outcome {
      try Job.run("rfm", arguments(name, more), ranks: 2, timeLimit: 240)
    }

    @Test func seedsBeyondTheLargestNumberAreRefused() throws {
      let outcome = try compare("x", ["--set", "run.seed=\(Int.max)"])
      #expect(outcome.isRefusal(65, "run.seed", "\(Int.max)", "--seeds"), "\(outcome)")
    }

    @Test func stoppedAndKilledItEndsWithTheSameComparison() throws {
      let whole = try compare("whole")
      #expect(whole.succeeded, "\(whole)")
      for place in 1...4 { #expect(whole.standardError.contains("variant \(place) of 4: ")) }
      #expect(whole.standardError.contains("; about "), "\(whole)")
      let expected = try bytes(runs.folder.file("whole/comparison.json"))
      #expect(
        whole.standardOutput
          == String(decoding: try bytes(runs.folder.file("whole/comparison.md")), as: UTF8.self))
      let names = ["none-seed-5", "none-seed-6", "sfe-seed-5", "sfe-seed-6"]
      #expect(runs.folder.names("whole/runs") == names)

      // Killed in the second training, asked to stop in the third, and then left alone.
      for (variant, signal, status) in [
        ("sfe-seed-5", SIGKILL, 128 + SIGKILL), ("none-seed-6", SIGUSR1, 75),
      ] {
        let job = try Job("rfm", arguments("cut", ["--resume"]), ranks: 2, timeLimit: 240)
        let metrics = runs.folder.file("cut/runs/\(variant)/metrics.jsonl")
        let isThere = job.wait(until: { _ in
          let text = FileManager.default.contents(atPath: metrics) ?? Data()
          return text.count(where: { $0 == UInt8(ascii: "\n") }) >= 2
        })
        #expect(isThere, "\(job.wait())")
        for process in job.ranks().values { kill(process, signal) }
        let outcome = job.wait()
        #expect(outcome.status == status && outcome.leftovers.isEmpty, "\(outcome)")
        #expect(!runs.folder.names("cut").contains("comparison.json"))
      }
      let resumed = try compare("cut", ["--resume"])
      #expect(resumed.succeeded, "\(resumed)")
      #expect(resumed.standardError.contains("none, seed 5 is done already"), "\(resumed)")
      #expect(try bytes(runs.folder.file("cut/comparison.json")) == expected)
      for name in names {
        let (a, b) = ("whole/runs/\(name)", "cut/runs/\(name)")
        for file in ["model.safetensors", "optimizer.safetensors"] {
          let place = "checkpoints/latest/\(file)"
          let isTheSame =
            try bytes(runs.folder.file("\(a)/\(place)"))
            == bytes(runs.folder.file("\(b)/\(place)"))
          #expect(isTheSame, "\(name)/\(file)")
        }
      }

      // Over it nothing is begun; done, it is only told again.
      let second = try compare("cut")
      #expect(second.isRefusal(65, runs.folder.file("cut"), "--resume"), "\(second)")
      let again = try compare("cut", ["--resume"])
      #expect(again.succeeded && again.standardOutput == whole.standardOutput, "\(again)")
      #expect(!again.standardError.contains("step "), "\(again)")
      let changed = try compare("cut", ["--resume", "--set", "data.flip=false"])
      #expect(changed.isRefusal(65, "data.flip", "true", "false"), "\(changed)")
    }

    @Test func theTableTellsWhatEvaluateTells() throws {
      let outcome = try compare("one", ["--seeds", "1", "--methods", "re"])
      #expect(outcome.succeeded, "\(outcome)")
      let comparison = try json(runs.folder.file("one/comparison.json"))
      let rows = try #require(comparison["rows"]?.arrayValue)
      func mean(_ table: String, _ row: String, _ figure: String) throws -> Double {
        let found = rows.first {
          $0["table"]?.textValue == table && $0["row"]?.textValue == row
            && $0["figure"]?.textValue == figure
        }
        return try #require(found?["spreads"]?["re"]?["mean"]?.doubleValue)
      }
      for (degrade, table, row) in [
        ([], "detection", "all"), (["--degrade", "jpeg=30"], "robustness", "jpeg=30"),
      ] {
        let output = runs.folder.file("evaluated-\(row)")
        let evaluated = try Job.run(
          "rfm",
          [
            "evaluate", "--checkpoint", runs.folder.file("one/runs/re-seed-5/checkpoints/latest"),
            "--data", try SharedData.test, "--output", output,
          ] + degrade, ranks: 2)
        #expect(evaluated.succeeded, "\(evaluated)")
        let metrics = try json(output + "/metrics.json")
        for figure in ["auc", "ap", "eer"] {
          #expect(try mean(table, row, figure) == metrics[figure]?.doubleValue, "\(row) \(figure)")
        }
        if degrade.isEmpty {
          for kind in ["fam", "cam"] {
            let scores = metrics["localisation"]?[kind]?["overall"]
            for figure in ["pointing_accuracy", "energy_share", "intersection_over_union"] {
              #expect(
                try mean("localisation", kind, figure) == scores?[figure]?.doubleValue,
                "\(kind) \(figure)")
            }
          }
        } else {
          #expect(metrics["degradations"] == ["jpeg=30"])
        }
      }
    }

    @Test func aMethodThatIsLeftOutIsNeverTrainedOn() throws {
      let outcome = try compare(
        "left", ["--seeds", "1", "--methods", "sfe", "--leave-out", "face-swap"])
      #expect(outcome.succeeded, "\(outcome)")
      let name = "sfe-seed-5-without-face-swap"
      #expect(runs.folder.names("left/runs") == ["sfe-seed-5", name])
      let configuration = try Configuration.load(
        path: runs.folder.file("left/runs/\(name)/config.yaml"))
      #expect(configuration.data.excludeMethods == ["face-swap"])
      // No prototype of it either: validation does without it too.
      let prototypes = try PrototypesFile(
        reading: runs.folder.file("left/runs/\(name)/checkpoints/latest/prototypes.h5"))
      #expect(prototypes.prototypes.methods.count == 4)
      #expect(!prototypes.prototypes.methods.contains("face-swap"))
      #expect(outcome.standardOutput.contains("## Left out"), "\(outcome)")
      let comparison = try json(runs.folder.file("left/comparison.json"))
      let tables = comparison["rows"]?.arrayValue?.compactMap { $0["table"]?.textValue } ?? []
      #expect(tables.filter { $0 == "left_out" }.count == 6)

      let wrong = try compare("wrong", ["--leave-out", "faceswap"])
      #expect(
        wrong.isRefusal(65, "--leave-out", "'faceswap'", "did you mean 'face-swap'?"), "\(wrong)")
    }

    /// Two networks, interrupted between them.
    @Test func networksAreComparedAndResumed() throws {
      let more = ["--models", "xception-tiny,mobilenet-v2", "--seeds", "1"]
      let whole = try compare("networks", more)
      #expect(whole.succeeded, "\(whole)")
      #expect(whole.standardError.contains("variant 3 of 4: mobilenet-v2, none, seed 5"))
      let names = ["mobilenet-v2", "xception-tiny"].flatMap { ["\($0)-none", "\($0)-sfe"] }
      #expect(runs.folder.names("networks/runs") == names.map { "\($0)-seed-5" })
      for name in names {
        let configuration = try Configuration.load(
          path: runs.folder.file("networks/runs/\(name)-seed-5/config.yaml"))
        #expect(name.hasPrefix(configuration.model.name.rawValue + "-"))
      }
      let path = runs.folder.file("networks/comparison.json")
      let comparison = try json(path)
      #expect(comparison["models"] == ["xception-tiny", "mobilenet-v2"])
      #expect(comparison["setting"]?["model"]?.textValue == "xception-tiny,mobilenet-v2")
      let rows = try #require(comparison["rows"]?.arrayValue)
      // Of methods whose maps are 0 everywhere, as may be after so few steps, there are no rows.
      let detection = rows.filter { $0["table"] != "localisation" }
      for model in ["xception-tiny", "mobilenet-v2"] {
        let own = rows.filter { $0["model"]?.textValue == model }
        #expect(2 * detection.count { $0["model"]?.textValue == model } == detection.count)
        for kind in ["fam", "cam"] {
          #expect(own.contains { $0["table"] == "localisation" && $0["row"]?.textValue == kind })
        }
      }
      #expect(whole.standardOutput.contains("## Networks"), "\(whole)")

      let expected = try bytes(path)
      try FileManager.default.removeItem(atPath: path)
      try FileManager.default.removeItem(
        atPath: runs.folder.file("networks/runs/mobilenet-v2-sfe-seed-5"))
      let resumed = try compare("networks", more + ["--resume"])
      #expect(resumed.succeeded, "\(resumed)")
      #expect(
        resumed.standardError.contains("xception-tiny, sfe, seed 5 is done already"), "\(resumed)")
      #expect(try bytes(path) == expected)

      // Neither their crop nor their maps need data to be refused by.
      let crop = try compare("refused", ["--models", "xception-tiny,meso-inception4"])
      #expect(crop.isRefusal(65, "--models", "meso-inception4", "256", "40"), "\(crop)")
      let maps = try compare(
        "refused",
        ["--models", "meso-inception4", "--methods", "none,ae", "--set", "data.crop=256"])
      #expect(maps.isRefusal(65, "--methods", "is ae", "meso-inception4"), "\(maps)")
      #expect(!FileManager.default.fileExists(atPath: runs.folder.file("refused")))
    }

    @Test func whatCannotBeComparedIsRefusedBeforeTheTraining() throws {
      let none = runs.folder.file("none")
      var arguments = try arguments("none")
      let data = try #require(arguments.firstIndex(of: "--data"))
      arguments.removeSubrange(data...data + 1)
      let missing = try Job.run("rfm", arguments, ranks: 2)
      #expect(missing.isRefusal(65, "data.test", "--data"), "\(missing)")
      let crop = try compare("none", ["--set", "data.crop=66"])
      #expect(crop.isRefusal(65, "66", "64x64"), "\(crop)")
      for wrong in [["--methods", "sfe,sfe"], ["--methods", "sfe,best"], ["--seeds", "0"]] {
        let outcome = try compare("none", wrong)
        #expect(outcome.status == 64 && outcome.standardOutput.isEmpty, "\(outcome)")
      }
      #expect(!FileManager.default.fileExists(atPath: none))
    }
  }
}
