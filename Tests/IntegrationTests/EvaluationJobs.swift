import Foundation
import Testing

@testable import Checkpoints
@testable import FaceShards
@testable import Foundations

extension Jobs {
  /// Figures over several data sets, their intervals, and comparisons with another detector.
  @Suite struct Evaluation {
    private let folder: TestFolder
    private let checkpoint: String

    init() throws {
      folder = try TestFolder()
      checkpoint = try TinyRuns.checkpoint.get().path
    }

    /// A shard of noise, of whose images each has a source of its own, or none.
    private func shard(
      _ name: String, methods: [Int], shift: Int = 0, source: (Int) -> String? = { "s\($0)" },
      path: (Int) -> String? = { _ in nil }
    ) throws -> String {
      let file = folder.file(name)
      let writer = try ShardWriter(
        path: file, height: 48, width: 48, methodNames: ["real", "blend"],
        hasPaths: path(0) != nil)
      for (row, method) in methods.enumerated() {
        let image = (0..<48 * 48 * 3).map {
          UInt8(truncatingIfNeeded: $0 &* (31 + row + shift) &+ $0 / 97 &* (row + 3))
        }
        try writer.append(
          image: image, method: method, source: source(row) ?? "", path: path(row))
      }
      try writer.finish()
      return file
    }

    private func evaluate(_ output: String, ranks: Int? = nil, _ more: [String]) throws
      -> Job.Outcome
    {
      try Job.run(
        "rfm",
        ["evaluate", "--checkpoint", checkpoint, "--output", folder.file(output), "--threads", "1"]
          + more, ranks: ranks)
    }

    @Test func severalDataSetsGiveAFolderEachAndTheirMeans() throws {
      let methods = (0..<60).map { $0 % 2 }
      let first = try shard("first.h5", methods: methods)
      let second = try shard(
        "second.h5", methods: methods, shift: 1000, source: { "v\($0 / 6)" },
        path: { "v\($0 / 6)/\($0 % 6).png" })
      let both = ["--data", "A=\(first)", "--data", "B=\(second)", "--bootstrap", "200"]
      let outcome = try evaluate("sets", ranks: 2, both)
      #expect(outcome.succeeded, "\(outcome)")
      let report = try json(folder.file("sets/data-sets.json"))
      #expect(report["order"] == ["A", "B"])
      let sets = try #require(report["data_sets"])
      let values = ["A", "B"].map { sets[$0]?["auc"]?.doubleValue ?? .nan }
      let mean = try #require(report["mean"]?["images"]?["auc"]?.doubleValue)
      #expect((mean - (values[0] + values[1]) / 2).magnitude < 1e-12)
      // Ten videos of B, each with real and fake images; A has none, and so their mean has none.
      #expect(sets["B"]?["videos"]?["mean"]?["real"] == 10 && sets["A"]?["videos"] == nil)
      #expect(
        report["mean"]?["videos_by_mean"] == .null || report["mean"]?["videos_by_mean"] == nil)
      #expect(outcome.standardError.contains("A: its images are not all known to be frames"))
      // Thirty sources of each class are enough for an interval, ten are not.
      #expect(sets["A"]?["intervals"]?["auc"]?.arrayValue?.count == 2, "\(outcome)")
      #expect(sets["B"]?["intervals"]?["auc"] == .null)
      #expect(outcome.standardError.contains("B: no intervals"), "\(outcome)")
      #expect(sets["A"]?["bootstrap"]?["draws"] == 200)
      let table = String(decoding: try bytes(folder.file("sets/data-sets.md")), as: UTF8.self)
      #expect(outcome.standardOutput == table && table.contains("| mean"))

      // The model's card has them, of this detector alone.
      let run = (checkpoint as NSString).deletingLastPathComponent
      func card(_ figures: String) throws -> Job.Outcome {
        try Job.run(
          "rfm",
          [
            "report", (run as NSString).deletingLastPathComponent, "--checkpoint", checkpoint,
            "--data",
            first, "--data-sets", figures, "--output", folder.file("page.html"), "--threads", "1",
          ])
      }
      let written = try card(folder.file("sets/data-sets.json"))
      #expect(written.succeeded, "\(written)")
      let text = String(decoding: try bytes(folder.file("page-card.md")), as: UTF8.self)
      #expect(text.contains("## Other data sets") && text.contains("\n| B "), "\(text)")
      #expect(text.contains("\n| mean of these "), "\(text)")
      let own = try #require(report["weights_sha256"]?.textValue)
      let foreign = String(
        decoding: try bytes(folder.file("sets/data-sets.json")), as: UTF8.self
      ).replacingOccurrences(of: own, with: String(own.reversed()))
      try foreign.write(toFile: folder.file("foreign.json"), atomically: false, encoding: .utf8)
      let refused = try card(folder.file("foreign.json"))
      #expect(refused.isRefusal(65, "foreign.json", "with other weights"), "\(refused)")

      // Each alone gives the same files.
      let alone = try evaluate("alone", ranks: 2, ["--data", first, "--bootstrap", "200"])
      #expect(alone.succeeded, "\(alone)")
      for file in ["metrics.json", "scores.csv"] {
        #expect(
          try bytes(folder.file("alone/\(file)")) == bytes(folder.file("sets/A/\(file)")), "\(file)"
        )
      }
    }

    @Test func whatWouldGiveWrongFiguresIsRefused() throws {
      let good = try shard("good.h5", methods: [0, 1, 0, 1])
      let fakes = try shard("fakes.h5", methods: [1, 1, 1])
      let unnamed = try shard("unnamed.h5", methods: [0, 1], source: { $0 == 0 ? "s" : nil })
      let oneClass = try evaluate("x", ranks: 2, ["--data", "A=\(good)", "--data", "B=\(fakes)"])
      #expect(oneClass.isRefusal(65, "B: all images are fake"), "\(oneClass)")
      let sourceless = try evaluate("x", ranks: 2, ["--data", unnamed, "--bootstrap", "200"])
      #expect(
        sourceless.isRefusal(65, unnamed, "1 of 2 images", "--independent-images"),
        "\(sourceless)")
      #expect(!folder.names().contains("x"))
      let allowed = try evaluate(
        "x", ["--data", unnamed, "--bootstrap", "200", "--independent-images"])
      #expect(allowed.succeeded && allowed.standardError.contains("no intervals"), "\(allowed)")
    }

    @Test func aDetectorIsComparedWithAnotherOnTheSameImages() throws {
      let data = try shard("data.h5", methods: (0..<40).map { $0 % 2 })
      let first = try evaluate("first", ["--data", data])
      #expect(first.succeeded, "\(first)")
      let scores = folder.file("first/scores.csv")
      let same = try evaluate("same", ranks: 2, ["--data", data, "--against", scores])
      #expect(same.succeeded && same.standardOutput.contains("both order the images alike"))
      let against = try json(folder.file("same/metrics.json"))["against"]
      #expect(against?["difference"] == 0 && against?["p_value"] == .null, "\(same)")
      let degraded = try evaluate(
        "degraded", ["--data", data, "--against", scores, "--degrade", "blur=3"])
      #expect(degraded.succeeded, "\(degraded)")
      let found = try json(folder.file("degraded/metrics.json"))
      let aucs = [found["against"]?["auc"], found["auc"]].map { $0?.doubleValue ?? .nan }
      #expect((aucs[0] - aucs[1]).magnitude < 1e-12, "\(degraded)")
      let other = try shard("other.h5", methods: (0..<40).map { ($0 + 1) % 2 })
      let refused = try evaluate("x", ["--data", other, "--against", scores])
      #expect(refused.isRefusal(65, scores, "index 0 is another one"), "\(refused)")
      let fewer = try shard("fewer.h5", methods: (0..<38).map { $0 % 2 })
      let short = try evaluate("x", ["--data", fewer, "--against", scores])
      #expect(short.isRefusal(65, scores, "it has 40 images, here are 38"), "\(short)")
    }

    /// Images of which the detector tells most: labels after its own logits, but for every fifth.
    private func tellable() throws -> String {
      let count = 60
      let guess = try shard("guess.h5", methods: (0..<count).map { $0 % 2 })
      let outcome = try evaluate("guess", ["--data", guess, "--no-localisation"])
      #expect(outcome.succeeded, "\(outcome)")
      let lines = String(decoding: try bytes(folder.file("guess/scores.csv")), as: UTF8.self)
        .split(separator: "\n").dropFirst()
      let differences = lines.map { line in
        let fields = line.split(separator: ",", omittingEmptySubsequences: false)
        return (Double(fields[6]) ?? 0) - (Double(fields[5]) ?? 0)
      }
      let order = differences.indices.sorted { differences[$0] < differences[$1] }
      var methods = [Int](repeating: 0, count: count)
      for (place, image) in order.enumerated() {
        methods[image] = (place >= count / 2) != (place % 5 == 0) ? 1 : 0
      }
      return try shard("tellable.h5", methods: methods)
    }

    @Test func aCheckpointIsCalibratedAndItsProbabilitiesAreUsed() throws {
      let data = try tellable()
      let own = folder.file("step-00000008")
      try FileManager.default.copyItem(
        atPath: URL(filePath: checkpoint).resolvingSymlinksInPath().path, toPath: own)
      let calibrated = try Job.run(
        "rfm", ["calibrate", "--checkpoint", own, "--data", data, "--threads", "1"], ranks: 2)
      #expect(calibrated.succeeded, "\(calibrated)")
      #expect(calibrated.standardOutput.contains("temperature"), "\(calibrated)")
      let inspected = try Job.run("rfm", ["inspect", "--verify", own])
      #expect(inspected.succeeded && inspected.standardOutput.contains("calibrat"), "\(inspected)")

      func figures(_ checkpoint: String, _ output: String) throws -> JSON {
        let outcome = try Job.run(
          "rfm",
          [
            "evaluate", "--checkpoint", checkpoint, "--data", data, "--output",
            folder.file(output), "--threads", "1", "--no-localisation",
          ])
        #expect(outcome.succeeded, "\(outcome)")
        return try json(folder.file("\(output)/metrics.json"))
      }
      let after = try figures(own, "after")
      let temperature = try #require(after["calibration"]?["temperature"]?.doubleValue)
      #expect(after["auc"] == (try figures(checkpoint, "before"))["auc"])

      let weights = folder.file("calibrated.safetensors")
      let exported = try Job.run(
        "rfm",
        [
          "calibrate", "--checkpoint", own + "/model.safetensors", "--data", data, "--output",
          weights,
        ])
      #expect(exported.succeeded, "\(exported)")
      let bare = try figures(weights, "bare")["calibration"]?["temperature"]?.doubleValue
      #expect((try #require(bare) / temperature - 1).magnitude < 1e-3)

      // Three verdicts, where no threshold keeps both rates.
      let faces = try ImageFolder(at: folder.file("faces"), from: [data])
      let explained = try Job.run(
        "rfm",
        [
          "explain", "--checkpoint", own, "--threads", "1", "--size", "48", "--false-alarm-rate",
          "0.05", "--miss-rate", "0.05", faces.path,
        ])
      #expect(explained.succeeded, "\(explained)")
      let lines = try explained.standardOutput.split(separator: "\n").map {
        try JSON(parsing: Array($0.utf8))
      }
      #expect(lines.allSatisfy { $0["calibrated"] == true })
      #expect(lines.contains { $0["label"] == "unsure" }, "\(explained)")
      let unknown = try Job.run(
        "rfm",
        [
          "explain", "--checkpoint", own, "--false-alarm-rate", "0.001", "--miss-rate", "0.05",
          faces.path,
        ])
      #expect(unknown.isRefusal(65, "a rate of 0.001 can't be told"), "\(unknown)")
    }

    @Test func whatCanNotBeCalibratedIsRefused() throws {
      let fakes = try shard("fakes.h5", methods: [1, 1])
      let own = folder.file("step-00000008")
      try FileManager.default.copyItem(
        atPath: URL(filePath: checkpoint).resolvingSymlinksInPath().path, toPath: own)
      let before = try bytes(own + "/state.json")
      let oneClass = try Job.run("rfm", ["calibrate", "--checkpoint", own, "--data", fakes])
      #expect(oneClass.isRefusal(65, "all images are fake"), "\(oneClass)")
      let bare = try Job.run(
        "rfm", ["calibrate", "--checkpoint", own + "/model.safetensors", "--data", fakes])
      #expect(bare.isRefusal(64, "is no checkpoint", "--output"), "\(bare)")
      #expect(try bytes(own + "/state.json") == before)
    }

    /// It is YAML that hubs read, and says what was not measured.
    @Test func aRunHasACard() throws {
      let (runs, _) = try TinyRuns.checkpoint.get()
      let page = folder.file("page.html")
      let outcome = try Job.run(
        "rfm", ["report", runs.path("tiny"), "--output", page], ranks: 2)
      #expect(outcome.succeeded, "\(outcome)")
      let card = String(decoding: try bytes(folder.file("page-card.md")), as: UTF8.self)
      let parts = card.split(separator: "---\n", maxSplits: 2, omittingEmptySubsequences: false)
      #expect(parts.count == 3 && parts[0].isEmpty)
      #expect(parts[1].contains("model-index:\n  - name: \"tiny\""), "\(card)")
      for heading in ["Figures", "Data", "Preprocessing", "Training", "Not tested"] {
        #expect(card.contains("\n## \(heading)\n"), "\(card)")
      }
      #expect(card.contains("| training   |") && card.contains("| validation |"), "\(card)")
      #expect(FileManager.default.fileExists(atPath: runs.path("tiny") + "/model-card.md"))
    }
  }
}
