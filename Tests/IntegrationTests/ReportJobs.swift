import Foundation
import Testing

@testable import Checkpoints
@testable import Foundations

extension Jobs {
  /// Reports of real runs.
  @Suite struct Reports {
    private func page(_ path: String) throws -> String {
      String(decoding: try bytes(path), as: UTF8.self)
    }

    /// The headline of that name.
    private func headline(_ page: String, _ name: String) throws -> String {
      let match = try Regex(
        "<dt>\(name)</dt><dd><strong>([^<]*)</strong>", as: (Substring, Substring).self)
      return String(try #require(page.firstMatch(of: match)).1)
    }

    @Test func aTrainingEndsWithItsReportAndRanksDoNotChangeIt() throws {
      let runs = try TinyRuns()
      let training = try runs.train("told", ["run.seed=7"], ranks: 2)
      #expect(training.succeeded, "\(training)")
      let path = runs.path("told")
      #expect(training.standardError.contains("report: \(path)/report.html"), "\(training)")
      let written = try page("\(path)/report.html")
      for name in ["plot-loss", "plot-validation", "plot-learning-rate", "plot-roc"] {
        #expect(written.contains("id=\"\(name)\""), "\(name)")
      }
      // The validation of the best checkpoint is told again, to the page's digits.
      let evaluations = try MetricsFile.read("\(path)/metrics.jsonl").compactMap {
        $0["validation_auc"]?.doubleValue
      }
      let best = try #require(evaluations.max())
      #expect(try headline(written, "AUC") == fixed(best, 4))
      for loss in try runs.losses("told") {
        #expect(written.contains(String(format: "%.6g", loss)))
      }

      // The same on one rank, on the test images; and evaluate agrees.
      var pages: [String] = []
      for ranks in [1, 2] {
        let output = runs.folder.file("pages/\(ranks).html")
        let outcome = try Job.run(
          "rfm",
          ["report", path, "--data", try SharedData.test, "--output", output, "--batch", "4"],
          ranks: ranks)
        #expect(outcome.succeeded, "\(outcome)")
        #expect(outcome.standardOutput == "written to \(output)\n", "\(outcome)")
        pages.append(try page(output))
      }
      for name in ["AUC", "EER", "TPR at FPR 1e-2", "Attention"] {
        #expect(try headline(pages[0], name) == headline(pages[1], name), "\(name)")
      }
      let evaluation = try Job.run(
        "rfm",
        [
          "evaluate", "--checkpoint", "\(path)/checkpoints/best", "--data", try SharedData.test,
          "--output", runs.folder.file("evaluation"),
        ])
      #expect(evaluation.succeeded, "\(evaluation)")
      let metrics = try json(runs.folder.file("evaluation/metrics.json"))
      let auc = try #require(metrics["auc"]?.doubleValue)
      #expect(try headline(pages[0], "AUC") == fixed(auc, 4))
      let ratio = try #require(
        metrics["localisation"]?["fam"]?["overall"]?["inside_outside_ratio"]?.doubleValue)
      #expect(try headline(pages[0], "Attention") == "\(fixed(ratio, 2))×")
      #expect(runs.folder.names("pages") == ["1-card.md", "1.html", "2-card.md", "2.html"])
    }

    @Test func noReportIsWrittenWhereNoneIsWanted() throws {
      let runs = try TinyRuns()
      let training = try runs.train("quiet", ["run.report=false"], ranks: nil)
      #expect(training.succeeded, "\(training)")
      #expect(!runs.folder.names("runs/quiet").contains("report.html"))
      #expect(!training.standardError.contains("report"), "\(training)")
    }

    @Test func aReportThatCannotBeWrittenDoesNotFailTheTraining() throws {
      let runs = try TinyRuns()
      try FileManager.default.createDirectory(
        atPath: runs.path("blocked") + "/report.html/inside", withIntermediateDirectories: true)
      let training = try runs.train("blocked", ranks: 2)
      #expect(training.succeeded, "\(training)")
      #expect(
        training.standardError.contains("warning: the training is done, but its report"),
        "\(training)")
      #expect(training.standardError.contains("report.html"), "\(training)")
      #expect(
        !runs.folder.names("runs/blocked").contains { $0.contains("partial") }, "\(training)")
    }

    /// The training is done, so nothing that its report meets ends the job; and no rank may wait for one
    /// that has given up.
    @Test func damageThatOneRankMeetsInTheReportOfATrainingIsToldByAll() throws {
      let runs = try TinyRuns()
      let folder = runs.folder
      // Scoring is in order, so the fifth image falls to rank 0, whose copy is whole. The prototypes
      // take the first two fakes, of which it is the second: rank 1's.
      let shard = try folder.shard("v.h5", methods: [0, 0, 0] + Array(repeating: 1, count: 9))
      for rank in 0..<2 {
        let own = folder.file("rank\(rank)")
        try FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: false)
        try FileManager.default.copyItem(atPath: shard, toPath: own + "/v.h5")
      }
      try damagePixels(of: folder.file("rank1/v.h5"), row: 4)
      // Without this method the training makes no prototypes of validation images itself.
      let settings = [
        "data.validation=v.h5", "data.exclude_methods=[blend]", "training.steps=2",
        "communication.watchdog_seconds=20",
      ]
      let outcome = try RankFolders.run(folder.path, runs.arguments("x", settings))
      #expect(outcome.succeeded, "\(outcome)")
      for words in ["its report was not written: v.h5, ", "row 4", "checksum", "(on rank 1)"] {
        #expect(outcome.standardError.contains(words), "\(outcome)")
      }
    }

    @Test func runsThatLackThingsAreReportedWithoutThem() throws {
      // One step, no validation data, and a last line that was cut short.
      let runs = try TinyRuns()
      let training = try runs.train(
        "bare", ["data.validation=null", "training.steps=1"], ranks: nil)
      #expect(training.succeeded, "\(training)")
      let path = runs.path("bare")
      let metrics = try FileHandle(forWritingTo: URL(filePath: path + "/metrics.jsonl"))
      try metrics.seekToEnd()
      try metrics.write(contentsOf: Data("not json\n{\"step\":2,\"epoch\":0,\"lo".utf8))
      try metrics.close()
      try Data("{".utf8).write(to: URL(filePath: path + "/environment.json"))
      let outcome = try Job.run("rfm", ["report", path])
      #expect(outcome.succeeded, "\(outcome)")
      let written = try page(path + "/report.html")
      #expect(written.contains("id=\"plot-loss\"") && !written.contains("id=\"plot-roc\""))
      #expect(written.contains("1 line of metrics.jsonl can&#39;t be read"))
      #expect(written.contains("environment.json can&#39;t be shown"))
      #expect(written.contains("not evaluated on validation data"))

      // With data it is evaluated all the same, and prototypes are made of them.
      let whole = try Job.run(
        "rfm", ["report", path, "--data", try SharedData.test, "--checkpoint", "latest"], ranks: 2)
      #expect(whole.succeeded, "\(whole)")
      let second = try page(path + "/report.html")
      #expect(second.contains("id=\"plot-roc\"") && second.contains("class=\"prototype\""))

      // Validation shards that are gone are a sentence; nothing at all is an error.
      let gone = try runs.train("gone", ["training.steps=2"], ranks: nil)
      #expect(gone.succeeded, "\(gone)")
      let configuration = runs.path("gone") + "/config.yaml"
      let text = try page(configuration).replacing("validation-", with: "vanished-")
      try Data(text.utf8).write(to: URL(filePath: configuration))
      let without = try Job.run("rfm", ["report", runs.path("gone")], ranks: 2)
      #expect(without.succeeded, "\(without)")
      #expect(try page(runs.path("gone") + "/report.html").contains("validation images can&#39;t"))
    }

    @Test func whatIsNoRunIsRefused() throws {
      let folder = try TestFolder()
      let none = try Job.run("rfm", ["report", folder.file("none")], ranks: 2)
      #expect(none.isRefusal(74, folder.file("none"), "No such file"), "\(none)")
      let empty = try Job.run("rfm", ["report", folder.path])
      #expect(empty.isRefusal(65, folder.path, "no run folder"), "\(empty)")
      #expect(folder.everything.isEmpty)
      let runs = try TinyRuns.checkpoint.get()
      let run = runs.runs.path("tiny")
      let data = try Job.run("rfm", ["report", run, "--data", folder.file("*.h5")], ranks: 2)
      #expect(data.isRefusal(74, folder.file("*.h5")), "\(data)")
      let checkpoint = try Job.run("rfm", ["report", run, "--checkpoint", folder.file("c")])
      #expect(checkpoint.isRefusal(74, folder.file("c")), "\(checkpoint)")
    }
  }
}
