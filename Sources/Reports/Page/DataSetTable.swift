import Evaluation
import Foundations

/// The figures of several data sets in Markdown: `data-sets.md`.
public enum DataSetTable {
  /// Writes `data-sets.md` into `folder`.
  /// - Returns: what was written.
  /// - Throws: `FileError`.
  @discardableResult
  public static func write(_ report: DataSetsReport, to folder: String) throws -> String {
    let text = markdown(report)
    try DurableFile.write(text, to: "\(folder)/data-sets.md")
    return text
  }

  static let figures: [DetectionFigure] = [.auc, .averagePrecision, .eer, .accuracy, .tprAt1e2]

  static func markdown(_ report: DataSetsReport) -> String {
    var cells: [[String]] = []
    func row(
      _ name: String, _ kind: String, _ counts: String, _ value: (DetectionFigure) -> String
    ) {
      let isSame = cells.last { !$0[0].isEmpty }?[0] == name
      cells.append([isSame ? "" : name, kind, counts] + figures.map(value))
    }
    func addMetrics(_ name: String, _ kind: String, _ metrics: DetectionMetrics?) {
      guard let metrics else { return }
      row(name, kind, "\(metrics.real) / \(metrics.fake)") {
        MarkdownTable.figure(metrics[$0], metrics.intervals?[$0])
      }
    }
    func addMeans(_ kind: String, _ means: DataSetsReport.Means?) {
      guard let means else { return }
      row("mean", kind, "") { MarkdownTable.figure(means.figures[$0], means.intervals?[$0]) }
    }
    let kinds = ["images", "videos, by mean", "videos, by median"]
    for set in report.sets {
      let videos = set.report.videos
      addMetrics(set.name, kinds[0], set.report.metrics.overall)
      addMetrics(set.name, kinds[1], videos?.mean.overall)
      addMetrics(set.name, kinds[2], videos?.median.overall)
    }
    if let means = report.means {
      addMeans(kinds[0], means.images)
      addMeans(kinds[1], means.videosByMean)
      addMeans(kinds[2], means.videosByMedian)
    }
    let intervals =
      report.sets.first?.report.bootstrap.map {
        " In brackets 95 % intervals over sources (\($0.draws) draws, BCa)."
      } ?? ""
    return """
      # Evaluation over data sets

      A video's score is the mean, or the median, of its frames', a frame's the largest of its faces'. \
      The mean over data sets counts each the same.\(intervals) All figures are in data-sets.json.


      """
        + MarkdownTable.grid(
          ["data set", "of", "real / fake"] + figures.map(\.title), cells) + "\n"
  }
}
