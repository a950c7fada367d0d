import Evaluation
import ForgeryMining

/// What was measured of one trained variant; `evaluation.json` in its run folder.
public struct VariantResult: Codable, Equatable, Sendable {
  public var variant: ComparisonPlan.Variant
  /// Updates that its weights have had.
  public var step: Int
  /// SHA-256 of its weights.
  public var weights: String
  /// What tells the test data from other data, see ``ComparisonJob``.
  public var data: String
  /// On the test images as they are.
  public var metrics: EvaluationMetrics
  /// On degraded test images, by degradation; empty where it was not measured.
  public var degraded: [String: EvaluationMetrics]
  /// Where it looks, by kind of map; empty without masks, or where it was not measured.
  public var localisation: [String: Localisation]

  public init(
    variant: ComparisonPlan.Variant, step: Int, weights: String, data: String,
    metrics: EvaluationMetrics, degraded: [String: EvaluationMetrics],
    localisation: [String: Localisation]
  ) {
    self.variant = variant
    self.step = step
    self.weights = weights
    self.data = data
    self.metrics = metrics
    self.degraded = degraded
    self.localisation = localisation
  }

  /// Localisation of one kind of map.
  public struct Localisation: Codable, Equatable, Sendable {
    public var overall: Scores
    public var methods: [String: Scores]

    init(_ measured: EvaluationJob.Localisation) {
      overall = Scores(measured.overall)
      methods = measured.methods.mapValues { Scores($0) }
    }

    public init(overall: Scores, methods: [String: Scores]) {
      self.overall = overall
      self.methods = methods
    }
  }

  /// Means over images, as `LocalisationSummary` tells them; nil without images.
  public struct Scores: Codable, Equatable, Sendable {
    public var images: Int
    public var areaShare: Double?
    public var pointingAccuracy: Double?
    public var energyShare: Double?
    public var intersectionOverUnion: Double?

    enum CodingKeys: String, CodingKey {
      case images
      case areaShare = "area_share"
      case pointingAccuracy = "pointing_accuracy"
      case energyShare = "energy_share"
      case intersectionOverUnion = "intersection_over_union"
    }

    init(_ summary: LocalisationSummary) {
      images = summary.images
      areaShare = summary.areaShare
      pointingAccuracy = summary.pointingAccuracy
      energyShare = summary.energyShare
      intersectionOverUnion = summary.intersectionOverUnion
    }

    public init(
      images: Int, areaShare: Double?, pointingAccuracy: Double?, energyShare: Double?,
      intersectionOverUnion: Double?
    ) {
      self.images = images
      self.areaShare = areaShare
      self.pointingAccuracy = pointingAccuracy
      self.energyShare = energyShare
      self.intersectionOverUnion = intersectionOverUnion
    }
  }
}
