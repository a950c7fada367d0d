import Foundation
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
    #expect(card.contains("images of 34 sources. In brackets 95 % intervals, by 1,500 draws"))
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
    #expect(flattered.contains("The test split (d/test-\\*.h5) was not looked at"), "\(flattered)")
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
