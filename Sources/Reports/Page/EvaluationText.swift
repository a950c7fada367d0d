import Evaluation
import Foundation
import Foundations

/// What `rfm evaluate` prints of one data set.
public enum EvaluationText {
  public static func lines(_ report: EvaluationJob.Report) -> [String] {
    let overall = report.metrics.overall
    func line(_ name: String, _ text: String) -> String {
      name.padding(toLength: 16, withPad: " ", startingAt: 0) + text
    }
    func figure(_ figure: DetectionFigure, _ metrics: DetectionMetrics) -> String {
      MarkdownTable.figure(metrics[figure], metrics.intervals?[figure])
    }
    var lines = [
      line("images", "\(report.images) (\(overall.real) real, \(overall.fake) fake)")
    ]
    for each in DetectionFigure.allCases { lines.append(line(each.title, figure(each, overall))) }
    if let bootstrap = report.bootstrap {
      lines.append(line("intervals", "95 %, \(bootstrap.draws) draws of sources"))
    }
    if let videos = report.videos {
      let whole = videos.mean.overall
      lines.append(
        line("videos", "\(whole.real + whole.fake) (\(whole.real) real, \(whole.fake) fake)"))
      lines.append(line("AUC, by mean", figure(.auc, whole)))
      lines.append(line("AUC, by median", figure(.auc, videos.median.overall)))
    }
    let reliability = report.reliability
    lines.append(
      line(
        "calibration",
        "error \(fixed(reliability.error, 4)), "
          + (reliability.temperature.map { "temperature \(fixed($0, 4))" } ?? "not calibrated")))
    if let scored = report.localisation.values.map(\.overall.images).max() {
      lines.append(line("localisation", "over \(scored) of \(overall.fake) fake images"))
    }
    if let against = report.against { lines.append(line("other AUC", text(against))) }
    return lines
  }

  static func text(_ comparison: AUCComparison) -> String {
    var text = fixed(comparison.second, 4) + ", difference "
    text += (comparison.difference < 0 ? "−" : "+") + fixed(comparison.difference.magnitude, 4)
    guard let interval = comparison.interval, let p = comparison.pValue else {
      return text + " (both order the images alike)"
    }
    let shown = p < 0.0001 ? "p < 0.0001" : "p = \(fixed(p, 4))"
    return text + " [\(fixed(interval.low, 4)), \(fixed(interval.high, 4))], \(shown) (DeLong)"
  }
}
