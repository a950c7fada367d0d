import Foundation
import TestSupport
import Testing

@testable import Configuration
@testable import Evaluation
@testable import Foundations
@testable import Reports

@Suite struct ModelCardTests {
  /// A run with intervals, a calibration and splits.
  private func contents() throws -> ReportContents {
    var contents = try ReportFixture.contents()
    contents.configuration?.data.validation = ["d/validation-*.h5"]
    contents.configuration?.data.test = ["d/test-*.h5"]
    contents.splits = [
      DataSplit(
        name: "training", patterns: ["d/<train>-*.h5"],
        contents: .init(
          real: 30, fakes: ["face-swap": 20, "a|b": 5], sources: 12, height: 256, width: 256,
          preprocessing: nil)),
      DataSplit(name: "validation", patterns: ["d/validation-*.h5"], contents: nil),
      DataSplit(name: "test", patterns: ["d/test-*.h5"], contents: nil),
    ]
    contents.evaluation?.sources = 34
    contents.evaluation?.bootstrap = SourceBootstrap(draws: 1500)
    contents.evaluation?.metrics.overall.intervals = DetectionIntervals(
      auc: Interval(0.8, 0.9), averagePrecision: nil, accuracy: nil, eer: Interval(0.1, 0.2),
      truePositiveRates: [nil, nil, nil])
    contents.evaluation?.reliability = Reliability(
      probabilities: [0.1, 0.6, 0.9], labels: [0, 0, 1], temperature: 1.5)
    return contents
  }

  @Test func itTellsFiguresWithIntervalsDataAndWhatNobodyMeasured() throws {
    let card = try ModelCard(contents()).text()
    let auc = try #require(contents().evaluation?.metrics.overall.auc)
    #expect(card.contains("| \(fixed(auc, 4)) [0.8000, 0.9000] |"), "\(card)")
    #expect(card.contains(" of 34 sources. In brackets 95 % intervals, by 1,500 draws"))
    #expect(card.contains("logits are divided by 1.5"))
    #expect(card.contains("| training   | 30 "), "\(card)")
    #expect(card.contains("a\\|b 5, face-swap 20"))
    #expect(card.contains("(can't be read from here)"))
    #expect(card.contains("Manipulations other than face-swap"))
    #expect(card.contains("Whole videos"))
    // Of another set the figures are what they are; of the validation's the choice flatters them.
    #expect(!card.contains("were chosen among checkpoints"))
    var chosen = try contents()
    chosen.evaluation?.data = "d/validation-*.h5"
    let flattered = try ModelCard(chosen).text()
    #expect(flattered.contains("were chosen among checkpoints by their AUC on these very images"))
    #expect(
      flattered.contains("The test split (d/test-\\*.h5) is not what the first figures are of"),
      "\(flattered)")
  }

  /// What the training did besides, and that a part of the images was scored.
  @Test func itHidesNoSetting() throws {
    var contents = try contents()
    contents.configuration?.imageAugmentation["gaussian_blur"].probability = 0.3
    contents.configuration?.training.labelSmoothing = 0.1
    contents.configuration = contents.configuration?.resolved(threads: 7)
    contents.evaluation?.images = 9000
    contents.evaluation?.scored = 4096
    let card = try ModelCard(contents).text()
    #expect(card.contains("`augmentation.gaussian_blur.probability` 0.3"), "\(card)")
    #expect(card.contains("`training.label_smoothing` 0.1"), "\(card)")
    #expect(!card.contains("training.threads") && !card.contains("`data.train`"), "\(card)")
    #expect(!card.contains("max_height") && !card.contains("model.name"), "\(card)")
    #expect(card.contains("chosen evenly method by method among 9,000, of "), "\(card)")
  }

  @Test func itsHeadIsWhatHubsRead() throws {
    let contents = try contents()
    let lines = try ModelCard(contents).text().split(
      separator: "\n", omittingEmptySubsequences: false)
    let end = try #require(lines.dropFirst().firstIndex(of: "---"))
    #expect(lines[0] == "---")
    let head = lines[1..<end]
    #expect(head.contains("pipeline_tag: image-classification"))
    #expect(head.contains("  - name: \"demo <1>\"") && head.contains("model-index:"))
    let place = try #require(head.firstIndex(of: "          - type: roc_auc"))
    let auc = try #require(contents.evaluation?.metrics.overall.auc)
    #expect(head[place + 1] == "            name: \"AUC\"")
    #expect(head[place + 2] == "            value: \(auc)")
  }

  @Test func namesOutOfDataStayNamesAndNothingMeasuredIsSaid() throws {
    let card = try ModelCard(contents()).text()
    #expect(!card.contains("<script>") && !card.contains("d/<train>"))
    #expect(!card.unicodeScalars.contains { $0.value == 0x202E || $0.value == 0x1B })
    var bare = ReportContents(name: "x")
    bare.missing[.detection] = "The run has no checkpoint yet."
    let text = try ModelCard(bare).text()
    #expect(
      text.contains("The run has no checkpoint yet.") && text.contains("- Everything: nothing"))
  }

  /// What rfm evaluate writes of two data sets.
  private func dataSets(weights: String?) throws -> String {
    var metrics = try #require(contents().evaluation?.metrics)
    let encoder = JSONEncoder()
    func figures(_ auc: Double, degraded: Bool) throws -> String {
      metrics.overall.auc = auc
      let text = String(decoding: try encoder.encode(metrics), as: UTF8.self)
      return text.dropLast() + ",\"images\":40"
        + (degraded ? ",\"degradations\":[\"jpeg=50\"]" : "") + "}"
    }
    let digest = weights.map { ",\"weights_sha256\":\"\($0)\"" } ?? ""
    return try
      "{\"order\":[\"FF|+\",\"Celeb\"],\"data_sets\":{\"Celeb\":\(figures(0.71, degraded: true)),"
      + "\"FF|+\":\(figures(0.93, degraded: false))},\"mean\":{\"images\":{\"auc\":0.82}}\(digest)}"
  }

  @Test func itTellsFiguresOfOtherDataSetsOfTheseWeightsAlone() throws {
    let folder = TemporaryFolder()
    let path = folder.path + "/data-sets.json"
    func file(_ text: String) throws -> DataSetsFile {
      try text.write(toFile: path, atomically: false, encoding: .utf8)
      return try DataSetsFile(reading: path)
    }
    let found = try file(dataSets(weights: "abc"))
    try found.check(weights: "abc", of: "runs/x/checkpoints/best")
    for (other, part) in [("abd", "was measured with other weights"), (nil, "is no checkpoint")] {
      let error = #expect(throws: DataSetsFile.Unusable.self) {
        try found.check(weights: other, of: "runs/x/checkpoints/best")
      }
      #expect(error?.description.hasPrefix("\(path): ") == true)
      #expect(error?.description.contains(part) == true)
    }
    let silent = try file(dataSets(weights: nil))
    #expect(throws: DataSetsFile.Unusable.self) { try silent.check(weights: nil, of: "x") }
    for text in ["", "{}", "[1]", "{\"order\":[\"a\"],\"data_sets\":{}}"] {
      let error = #expect(throws: DataSetsFile.Unusable.self) { try file(text) }
      #expect(error?.description.hasPrefix(path) == true)
    }

    var contents = try contents()
    contents.dataSets = found
    let card = try ModelCard(contents).text()
    let rows = card.split(separator: "\n").filter {
      $0.hasPrefix("| FF") || $0.hasPrefix("| Celeb")
    }
    #expect(rows.count == 2 * (1 + found.sets[0].metrics.methods.count), "\(card)")
    #expect(rows[0].hasPrefix("| FF\\|+ ") && rows[0].contains("| 0.9300 [0.8000, 0.9000] |"))
    #expect(rows.contains { $0.hasPrefix("| Celeb, jpeg=50 ") && $0.contains("| 0.7100 ") })
    #expect(card.contains("| mean of these ") && card.contains("| 0.8200 "))
    #expect(card.contains("name: \"Celeb, jpeg=50\"") && card.contains("value: 0.71"))
    #expect(card.contains("Images degraded otherwise than above"))
  }

  @Test func thePageShowsIntervalsAndReliability() throws {
    let page = try ReportPage(contents()).html()
    #expect(page.contains("95 %: 0.8000–0.9000"))
    #expect(page.contains("<th scope=\"col\">95 % interval</th>"))
    #expect(page.contains("over the 34 sources here (1,500 draws, BCa)"))
    #expect(page.contains("id=\"plot-calibration\"") && page.contains("a temperature of 1.5"))
    var uncalibrated = try contents()
    uncalibrated.evaluation?.reliability = Reliability(
      probabilities: [0.1], labels: [0], temperature: nil)
    uncalibrated.evaluation?.bootstrap = nil
    let other = try ReportPage(uncalibrated).html()
    #expect(other.contains("The detector is not calibrated"))
    #expect(other.contains("No intervals: not every image names its source"))
  }

  @Test func theCardLiesBesideItsPage() {
    #expect(ReportJob.card(beside: "runs/x/report.html") == "runs/x/model-card.md")
    #expect(ReportJob.card(beside: "out/test.html") == "out/test-card.md")
  }
}
