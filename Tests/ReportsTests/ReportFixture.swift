import Foundation

@testable import Configuration
@testable import Evaluation
@testable import ForgeryMining
@testable import Images
@testable import Reports

/// Made-up contents of a report, with everything a run can have.
enum ReportFixture {
  static let methods = ["face-swap", "<script>alert(1)</script>", "a\u{202E}b & \"c\"\u{1B}[31m"]

  static func record(steps: Int = 400, validations: Int = 4) throws -> TrainingRecord {
    var record = TrainingRecord()
    for step in 1...max(1, steps) {
      record.add([
        "step": .integer(step), "epoch": .integer(step / 100), "loss": .number(loss(step)),
        "learning_rate": .number(0.001), "images_per_second": .number(250 + Double(step % 7)),
      ])
    }
    for index in 0..<validations {
      let auc = 0.7 + 0.05 * Double(index)
      record.add([
        "step": .integer((index + 1) * steps / max(1, validations)),
        "validation_loss": .number(0.5 - 0.1 * Double(index)), "validation_auc": .number(auc),
        "validation_ap": .number(auc + 0.01), "validation_accuracy": .number(0.6),
        "validation_eer": .number(0.2), "validation_tpr_at_fpr_1e-2": .number(0.3),
        "validation_tpr_at_fpr_1e-3": .null, "validation_seconds": .number(0.1),
      ])
    }
    return record
  }

  /// Falls, with a spike at step 123.
  static func loss(_ step: Int) -> Double {
    step == 123 ? 3.25 : 0.7 / (1 + Double(step) / 100) + 0.01 * Double(step * 37 % 11)
  }

  static func face(_ shift: Int, side: Int = 24) -> RGBImage {
    RGBImage(
      width: side, height: side,
      pixels: (0..<side * side * 3).map { UInt8(($0 * 5 + shift * 40) & 255) })
  }

  static func evaluation(hasMasks: Bool = true) throws -> DetectorEvaluation {
    var scores: [Double] = []
    var labels: [UInt8] = []
    var kinds: [Int] = []
    for image in 0..<200 {
      let isFake = image % 2 == 1
      labels.append(isFake ? 1 : 0)
      kinds.append(isFake ? 1 + image / 2 % methods.count : 0)
      scores.append(Double((image * 73) % 97) / 97 * 0.6 + (isFake ? 0.35 : 0.05))
    }
    let names = ["real"] + methods
    func curve(_ included: (Int) -> Bool) throws -> ROCCurve {
      let images = (0..<200).filter { labels[$0] == 0 || included(kinds[$0]) }
      return ROCCurve(
        try RankedScores(scores: images.map { scores[$0] }, labels: images.map { labels[$0] }))
    }
    var evaluation = DetectorEvaluation(
      data: "d/test-*.h5", images: 5000, scored: 200,
      metrics: try EvaluationMetrics(
        scores: scores, labels: labels, methods: kinds, methodNames: names,
        sources: (0..<200).map { "video \($0 / 10)" }),
      loss: 0.4321, curve: try curve { _ in true },
      methodCurves: try methods.enumerated().map { index, name in
        (name, try curve { $0 == index + 1 })
      })
    evaluation.mapped = 100
    evaluation.scores = ([0.5, 0.25, 0.25], [0, 0.125, 0.875])
    if hasMasks {
      var summary = LocalisationSummary()
      summary.add(
        LocalisationScores(
          attention: [1, 2, 3, 4], mask: [0, 0, 255, 255], width: 2)!)
      let localisation = EvaluationJob.Localisation(
        overall: summary, methods: [methods[0]: summary, methods[1]: summary])
      evaluation.localisation = [.fam: localisation, .cam: localisation]
    }
    let side = 24
    var maps: [Float] = []
    for method in methods.indices {
      for pixel in 0..<side * side {
        maps.append(Float((pixel % side * (method + 1)) % side) / Float(side) * 0.8)
      }
    }
    let prototypes = Prototypes(
      methods: methods, height: side, width: side, maps: maps,
      counts: methods.map { _ in 40 })
    evaluation.prototypes = PrototypeGallery(
      prototypes: prototypes,
      meanFaces: MeanFaces(
        methods: methods, height: side, width: side,
        images: methods.indices.flatMap { face($0).pixels }),
      origin: "are the checkpoint's own")
    var trial = AttributionTrial(prototypes)
    for image in 0..<30 {
      trial.add(
        Array(prototypes.map(image * 7 % 3)), method: image % 10 == 9 ? "new" : methods[image % 3])
    }
    evaluation.attribution = AttributionEvaluation(
      trial, plainThreshold: 0.9, centredThreshold: 0.5)
    evaluation.examples = methods.enumerated().map { index, name in
      Example(
        reason: index == 0 ? .typical : .missed, name: "d/<b>\(index)</b>.png", method: name,
        probability: 0.25 + 0.1 * Double(index), attributed: (methods[0], 0.812345),
        image: face(index), attention: face(index + 1), activation: face(index + 2),
        erased: face(index + 3))
    }
    return evaluation
  }

  static func contents() throws -> ReportContents {
    var contents = ReportContents(name: "demo <1>")
    contents.record = try record()
    var configuration = Configuration()
    configuration.run.name = "demo <1>"
    configuration.data.train = ["d/<train>-*.h5"]
    configuration.training.steps = 400
    contents.configuration = configuration.resolved(threads: 2)
    contents.environment = [
      "versions": ["rfm": "0.1.0", "mpi": "Open <MPI>"], "ranks": 2, "hosts": ["a", "b", "a"],
      "threads_per_rank": 1, "processor": ["bfloat16": true, "name": ""],
    ]
    contents.checkpoint = .init(
      path: "runs/demo/checkpoints/best", step: 400, role: "best", detector: "xception-tiny",
      crop: 24)
    contents.evaluation = try evaluation()
    return contents
  }
}
