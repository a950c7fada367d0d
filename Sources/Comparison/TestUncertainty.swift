import Evaluation
import Tensors

/// Whether two trained detectors differ in AUC on the test images: DeLong's test, see `AUCComparison`.
public struct DetectorTest: Codable, Equatable, Sendable {
  /// The network; nil where the comparison is not over networks.
  public var model: String?
  public var seed: Int
  /// The method that SFE is compared with.
  public var method: String
  /// AUC of SFE less that of the method.
  public var difference: Double
  /// What holds it with 95 % confidence, over test sources; nil where both order the images alike.
  public var interval: Interval?
  public var pValue: Double?

  enum CodingKeys: String, CodingKey {
    case model, seed, method, difference, interval
    case pValue = "p_value"
  }

  public init(
    model: String?, seed: Int, method: String, difference: Double, interval: Interval?,
    pValue: Double?
  ) {
    self.model = model
    self.seed = seed
    self.method = method
    self.difference = difference
    self.interval = interval
    self.pValue = pValue
  }
}

/// How far figures of these trained detectors would differ on other test sources: what the choice of seeds
/// does not tell. All variants are scored on the same images, and so are drawn together.
struct TestUncertainty {
  /// Scores of the test images by each variant that saw all methods.
  let scores: [ComparisonPlan.Variant: ScoredSamples]
  let workers: WorkerPool

  /// Adds intervals to the rows of detection, and tests of the detectors of each seed.
  func add(to comparison: inout Comparison) {
    var drawn: [ComparisonPlan.Variant: [String: FigureDraws]] = [:]
    for (variant, samples) in scores { drawn[variant] = draw(samples) }
    for place in comparison.rows.indices where comparison.rows[place].table == .detection {
      let row = comparison.rows[place]
      guard let figure = DetectionFigure(rawValue: row.figure) else { continue }
      /// Means over the seeds, draw by draw.
      var means: [String: FigureDraws] = [:]
      for method in comparison.methods {
        // In one order, for sums are rounded.
        let own = scores.keys.filter { $0.method == method && $0.model == row.model }
          .sorted { $0.seed < $1.seed }
        let draws = own.compactMap { drawn[$0]?[row.method ?? Self.all] }
        if !draws.isEmpty, draws.count == own.count {
          means[method] = FigureDraws.pairedMean(draws)
        }
      }
      comparison.rows[place].intervals = means.compactMapValues { $0.intervals[figure] }
      guard let reference = means[Comparison.reference] else { continue }
      comparison.rows[place].testIntervals = means.filter { $0.key != Comparison.reference }
        .compactMapValues { reference.less($0).intervals[figure] }
    }
    comparison.tests = tests(comparison)
  }

  private static let all = ""

  /// Of all images, and of each method's fakes with all real ones.
  private func draw(_ samples: ScoredSamples) -> [String: FigureDraws] {
    let bootstrap = EvaluationMetrics.Bootstrap(SourceBootstrap(), workers: workers)
    var drawn = [Self.all: bootstrap.draw(samples)]
    for method in samples.presentMethods {
      drawn[samples.methodNames[method]] = bootstrap.draw(samples.against(method))
    }
    return drawn
  }

  private func tests(_ comparison: Comparison) -> [DetectorTest] {
    var tests: [DetectorTest] = []
    for model in comparison.models.map({ $0.map { Optional($0) } }) ?? [nil] {
      for method in comparison.methods where method != Comparison.reference {
        for seed in comparison.seeds {
          func samples(_ method: String) -> ScoredSamples? {
            scores.first {
              $0.key.method == method && $0.key.seed == seed && $0.key.model == model
            }?.value
          }
          guard let first = samples(Comparison.reference), let second = samples(method),
            let test = AUCComparison(
              first: first.scores, second: second.scores, labels: first.labels,
              sources: first.sources)
          else { continue }
          tests.append(
            DetectorTest(
              model: model, seed: seed, method: method, difference: test.difference,
              interval: test.interval, pValue: test.pValue))
        }
      }
    }
    return tests
  }
}
