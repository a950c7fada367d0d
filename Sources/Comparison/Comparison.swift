import Evaluation
import ForgeryMining

/// What a comparison found: `comparison.json`.
///
/// `rows` tell every figure of every table as mean and spread over the seeds for each augmentation
/// method, of each network where there are several, and how SFE differs from each other one; `variants`
/// hold what they were made of.
public struct Comparison: Codable, Equatable, Sendable {
  /// The value of `format` and `version`.
  public static let format = "rfm-comparison"
  public static let version = 1
  /// The method that the others are compared with.
  public static let reference = SuspiciousForgeriesErasing.name

  /// What all variants have in common.
  public struct Setting: Codable, Equatable, Sendable {
    /// The network, or all that are compared, separated by commas.
    public var model: String
    public var crop: Int
    /// Updates of each training.
    public var steps: Int
    /// Images of an update.
    public var globalBatch: Int
    /// `augmentation.probability`.
    public var probability: Double

    enum CodingKeys: String, CodingKey {
      case model, crop, steps, probability
      case globalBatch = "global_batch"
    }

    public init(model: String, crop: Int, steps: Int, globalBatch: Int, probability: Double) {
      self.model = model
      self.crop = crop
      self.steps = steps
      self.globalBatch = globalBatch
      self.probability = probability
    }
  }

  public var format = Self.format
  public var version = Self.version
  /// Augmentation methods in the order of the tables' columns.
  public var methods: [String]
  public var seeds: [Int]
  /// Networks in the order of the tables; nil where the comparison is not over networks.
  public var models: [String]?
  /// Manipulation methods that were left out in turn.
  public var leftOut: [String]
  public var setting: Setting
  /// Patterns of the test shards.
  public var data: [String]
  public var rows: [ComparisonRow]
  /// Of the detectors of each seed, SFE against each other method; nil where sources of the test images are
  /// not known.
  public var tests: [DetectorTest]?
  public var variants: [VariantResult]

  enum CodingKeys: String, CodingKey {
    case format, version, methods, models, seeds, setting, data, rows, tests, variants
    case leftOut = "left_out"
  }

  /// Makes the tables of what was measured.
  ///
  /// - Parameter variants: in the order of the plan; at least one.
  public init(_ variants: [VariantResult], setting: Setting, data: [String]) {
    precondition(!variants.isEmpty, "a comparison has at least one variant")
    func distinct<T: Hashable>(_ values: [T]) -> [T] {
      var seen: Set<T> = []
      return values.filter { seen.insert($0).inserted }
    }
    methods = distinct(variants.map(\.variant.method))
    seeds = distinct(variants.map(\.variant.seed))
    leftOut = distinct(variants.compactMap(\.variant.leftOut))
    let networks = distinct(variants.compactMap(\.variant.model))
    models = networks.isEmpty ? nil : networks
    self.setting = setting
    self.data = data
    self.variants = variants
    rows = []
    for model in networks.isEmpty ? [nil] : networks.map({ Optional($0) }) {
      rows += ComparisonRow.all(
        variants.filter { $0.variant.model == model }, model: model, methods: methods, seeds: seeds,
        leftOut: leftOut)
    }
  }
}

/// One figure under one condition, for every augmentation method.
public struct ComparisonRow: Codable, Equatable, Sendable {
  /// The table that it belongs to.
  public enum Table: String, Codable, Sendable {
    /// Test images as they are; `row` is "all" or a manipulation method, against all real images.
    case detection
    /// Degraded test images; `row` is the degradation.
    case robustness
    /// FAM and CAM against masks; `row` is "fam" or "cam", or with a manipulation method after it:
    /// "fam face-swap".
    case localisation
    /// Trained without a manipulation method and tested on it; `row` is that method.
    case leftOut = "left_out"
  }

  public var table: Table
  public var row: String
  /// The manipulation method that the row is about; nil where it is about all of them, or in files of
  /// before it was noted. A method may be called "all" too.
  public var method: String?
  /// The network; nil where the comparison is not over networks.
  public var model: String?
  /// `auc`, `ap`, `eer`, `tpr_at_fpr_1e-2` …; `pointing_accuracy`, `energy_share` ….
  public var figure: String
  /// By augmentation method; one is missing where the figure is not defined.
  public var spreads: [String: MeanAndDeviation]
  /// SFE less each other augmentation method, paired by seed.
  public var differences: [String: PairedDifference]
  /// Where the mean over the seeds lies with 95 % confidence on other test sources, by augmentation method;
  /// nil where it was not measured. See `SourceBootstrap`.
  public var intervals: [String: Interval]?
  /// Of SFE less each other augmentation method, likewise.
  public var testIntervals: [String: Interval]?

  enum CodingKeys: String, CodingKey {
    case table, row, method, model, figure, spreads, differences, intervals
    case testIntervals = "test_intervals"
  }

  /// Figures of detection, in the order of the tables.
  static var detectionFigures: [(name: String, value: (DetectionMetrics) -> Double?)] {
    [("auc", { $0.auc }), ("ap", { $0.averagePrecision }), ("eer", { $0.eer })]
      + DetectionMetrics.falsePositiveRateNames.enumerated().map { place, name in
        ("tpr_at_fpr_\(name)", { $0.truePositiveRates[place] })
      }
  }

  /// Figures of localisation. The forged share of the area is the chance level of the next two.
  static var localisationFigures: [(name: String, value: (VariantResult.Scores) -> Double?)] {
    [
      ("area_share", { $0.areaShare }), ("pointing_accuracy", { $0.pointingAccuracy }),
      ("energy_share", { $0.energyShare }),
      ("intersection_over_union", { $0.intersectionOverUnion }),
    ]
  }

  /// All rows of a comparison, or of one of its networks, table after table.
  static func all(
    _ variants: [VariantResult], model: String?, methods: [String], seeds: [Int], leftOut: [String]
  ) -> [ComparisonRow] {
    func row(
      _ table: Table, _ name: String, of subject: String?, _ figure: String,
      without leftOut: String? = nil, _ value: (VariantResult) -> Double?
    ) -> ComparisonRow {
      var values: [String: [Int: Double]] = [:]
      for variant in variants where variant.variant.leftOut == leftOut {
        values[variant.variant.method, default: [:]][variant.variant.seed] = value(variant)
      }
      let reference = values[Comparison.reference] ?? [:]
      var row = ComparisonRow(
        table: table, row: name, method: subject, model: model, figure: figure, spreads: [:],
        differences: [:])
      for method in methods {
        let own = values[method] ?? [:]
        row.spreads[method] = MeanAndDeviation(seeds.compactMap { own[$0] })
        if method == Comparison.reference { continue }
        row.differences[method] = PairedDifference(
          seeds.compactMap { seed in
            guard let first = reference[seed], let second = own[seed] else { return nil }
            return (first, second)
          })
      }
      return row
    }
    func detection(
      _ table: Table, _ name: String, of method: String? = nil, without leftOut: String? = nil,
      _ metrics: (VariantResult) -> DetectionMetrics?
    ) -> [ComparisonRow] {
      detectionFigures.map { figure in
        row(table, name, of: method, figure.name, without: leftOut) {
          metrics($0).flatMap(figure.value)
        }
      }
    }

    var rows = detection(.detection, "all") { $0.metrics.overall }
    for method in Set(variants.flatMap { $0.metrics.methods.keys }).sorted() {
      rows += detection(.detection, method, of: method) { $0.metrics.methods[method] }
    }
    let degradations = Set(variants.flatMap { $0.degraded.keys })
    for name in ComparisonConditions.degradations.map(\.description)
    where degradations.contains(name) {
      rows += detection(.robustness, name) { $0.degraded[name]?.overall }
    }
    for kind in AttentionKind.allCases.map(\.rawValue) {
      let measured = variants.compactMap { $0.localisation[kind] }
      guard !measured.isEmpty else { continue }
      let names: [String?] = Set(measured.flatMap(\.methods.keys)).sorted()
      for method in [nil] + names {
        for figure in localisationFigures {
          rows.append(
            row(
              .localisation, method.map { "\(kind) \($0)" } ?? kind, of: method, figure.name
            ) {
              guard let localisation = $0.localisation[kind] else { return nil }
              let scores = method.map { localisation.methods[$0] } ?? localisation.overall
              return scores.flatMap(figure.value)
            })
        }
      }
    }
    for method in leftOut {
      rows += detection(.leftOut, method, of: method, without: method) {
        $0.metrics.methods[method]
      }
    }
    return rows
  }
}
