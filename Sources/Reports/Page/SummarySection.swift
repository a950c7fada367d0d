import ForgeryMining
import Foundation
import Foundations

extension ReportPage {
  /// What the run is, in a sentence or two below its name.
  var lead: HTML {
    var sentences: [HTML] = []
    if let configuration = contents.configuration {
      let steps = contents.record.steps.last.map {
        " for \(FigureText.count(Int($0), "step"))"
      }
      let ranks = contents.environment?["ranks"]?.integerValue.map {
        " on \(FigureText.count($0, "rank"))"
      }
      sentences.append(
        """
        \(configuration.model.form.description) at \(configuration.data.crop) pixels, trained \
        \(configuration.augmentation.method.method.manner)\(steps ?? "")\(ranks ?? "").
        """)
    }
    if let checkpoint = contents.checkpoint {
      let role = checkpoint.role.map { $0 == "best" ? ", the best on validation" : ", the \($0)" }
      var sentence: HTML =
        "Shown is the checkpoint of step \(FigureText.count(checkpoint.step))\(role ?? "")"
      if let evaluation = contents.evaluation {
        let overall = evaluation.metrics.overall
        sentence += """
          , on \(FigureText.count(overall.real)) real and \(FigureText.count(overall.fake)) fake \
          images of <code>\(evaluation.data)</code>
          """
      }
      sentences.append(sentence + ".")
    }
    return sentences.isEmpty ? "" : "<p class=\"lead\">\(HTML.joined(sentences, by: " "))</p>"
  }

  /// The headline figures.
  var summary: HTML {
    var cards: [HTML] = []
    func card(_ name: String, _ value: String, _ meaning: HTML) {
      cards.append(
        """
        <div class="card"><dt>\(name)</dt><dd><strong>\(value)</strong><span>\(meaning)</span></dd>\
        </div>

        """)
    }
    if let evaluation = contents.evaluation {
      let overall = evaluation.metrics.overall
      let auc: HTML = overall.intervals?.auc.map { "; 95 %: \(FigureText.interval($0))" } ?? ""
      card("AUC", FigureText.rate(overall.auc), "that a fake scores above a real image\(auc)")
      card("EER", FigureText.rate(overall.eer), "where false alarms equal misses")
      card(
        "TPR at FPR 1e-2", FigureText.rate(overall.truePositiveRates[0]),
        "fakes found at 1 false alarm in 100")
      card(
        "TPR at FPR 1e-3", FigureText.rate(overall.truePositiveRates[1]),
        overall.real < 1000
          ? "without any, on \(FigureText.count(overall.real)) real images" : "at 1 in 1,000")
      if let attribution = evaluation.attribution {
        let accuracy = attribution[attribution.preferred].confusion.accuracy
        let methods = attribution.plain.confusion.methods.count
        card(
          "Attribution", FigureText.rate(accuracy),
          """
          right method named, \(attribution.preferred.rawValue); chance \
          \(FigureText.ratio(1 / Double(max(1, methods))))
          """)
      }
      if let ratio = evaluation.localisation[.fam]?.overall.insideOutsideRatio, ratio.isFinite {
        card("Attention", "\(fixed(ratio, 2))×", "as strong inside the forgery as outside")
      }
    }
    let record = contents.record
    if let last = record.validations.last(where: { $0.figures["auc"] != nil }),
      contents.evaluation == nil
    {
      card("Validation AUC", FigureText.rate(last.figures["auc"]), "at the last evaluation")
    }
    if let step = record.steps.last {
      card(
        "Steps", FigureText.count(Int(step)),
        record.lastEpoch.map { "in epoch \($0 + 1)" } ?? "of training")
    }
    if let rate = record.typicalImagesPerSecond {
      card(
        "Speed", rate < 100 ? fixed(rate, 1) : FigureText.count(Int(rate)),
        "training images per second")
    }
    guard !cards.isEmpty else {
      return """
        <section class="summary" aria-label="Summary"><p class="absent">Nothing was measured yet.\
        </p></section>
        """
    }
    return """
      <section class="summary" aria-label="Summary"><h2 class="hidden">Summary</h2>
      <dl class="cards">\(cards)</dl></section>

      """
  }
}
