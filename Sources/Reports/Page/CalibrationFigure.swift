import Evaluation

extension ReportPage {
  /// Whether probabilities can be believed: the reliability diagram and the calibration error.
  func calibration(_ evaluation: DetectorEvaluation) -> HTML {
    guard let reliability = evaluation.reliability, !reliability.bins.isEmpty else { return "" }
    var text: HTML =
      reliability.temperature.map {
        "Logits are divided by a temperature of \(FigureText.short($0)) that validation images gave."
      }
        ?? """
        The detector is not calibrated: its probabilities order images, but 0.9 need not mean nine in ten \
        (<code>rfm calibrate</code>).
        """
    text += """
       Expected calibration error <strong>\(FigureText.rate(reliability.error))</strong>, over \
      \(FigureText.count(evaluation.scored, "image")); it is above 0 by chance alone where images are few.
      """
    if evaluation.isCalibrationData {
      text += " These are the images that the temperature was fitted to: on others it is larger."
    }
    return """
      <h3>Calibration</h3>
      <p>\(text)</p>
      <div class="charts">\(plot(reliability).figure())</div>

      """
  }

  private func plot(_ reliability: Reliability) -> Plot {
    var plot = Plot(
      identifier: "plot-calibration", title: "Reliability", x: .linear(over: [0, 1]),
      y: .linear(over: [0, 1]), xTitle: "probability of fake", yTitle: "share that is fake",
      series: [
        Series(
          name: "images",
          curve: Curve(
            x: reliability.bins.map(\.probability), y: reliability.bins.map { Optional($0.fakes) }),
          style: .marked, color: 0,
          remarks: reliability.bins.map { FigureText.count($0.images, "image") }, isStrong: true),
        Series(
          name: "as they should be", curve: Curve(x: [0, 1], y: [0, 1]), style: .reference,
          color: 6,
          isHoverable: false),
      ])
    plot.description =
      "Share of fakes among images by their probability of fake, in \(Reliability.binCount) equal parts."
    plot.width = 340
    plot.height = 340
    plot.isSmall = true
    return plot
  }
}
