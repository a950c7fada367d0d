import Configuration
import ForgeryMining
import Foundation
import Foundations
import Images
import Networks

/// What a comparison trains: every augmentation method with every seed, of every network where there are
/// several, and the same again without each manipulation method that is left out.
///
/// Variants differ in `augmentation.method`, `run.seed`, `data.exclude_methods` and `model.name` alone.
/// Those of one network with the same seed begin from the same weights; all with the same seed see the
/// same images in the same order, cropped and flipped alike; only what is erased differs.
public struct ComparisonPlan: Sendable {
  /// One training.
  public struct Variant: Codable, Hashable, Sendable {
    /// Name of the run, and of its folder.
    public var name: String
    /// `augmentation.method`.
    public var method: String
    public var seed: Int
    /// The manipulation method that it never saw; nil: it saw all.
    public var leftOut: String?
    /// `model.name`; nil where the comparison is not over networks: that of the configuration.
    public var model: String?

    public init(name: String, method: String, seed: Int, leftOut: String?, model: String? = nil) {
      self.name = name
      self.method = method
      self.seed = seed
      self.leftOut = leftOut
      self.model = model
    }

    enum CodingKeys: String, CodingKey {
      case name, method, seed, model
      case leftOut = "left_out"
    }
  }

  /// In the order in which they are trained: seed after seed, so that what is there when a
  /// comparison is interrupted compares all methods.
  public let variants: [Variant]
  private let base: Configuration
  private let output: String

  /// - Parameters:
  ///   - base: what all variants have in common.
  ///   - methods: augmentation methods, none twice.
  ///   - seeds: how many seeds: `run.seed` and the numbers after it.
  ///   - leftOut: manipulation methods to leave out in turn, besides the comparison with all.
  ///   - models: networks, none twice; empty: that of the configuration, which no name tells then.
  ///   - output: the comparison's folder; runs go into `runs` below it.
  public init(
    _ base: Configuration, methods: [ErasingMethodName], seeds: Int,
    leftOut: [String], models: [DetectorName] = [], output: String
  ) {
    precondition(!methods.isEmpty && seeds > 0, "a comparison has methods and seeds")
    self.base = base
    self.output = output
    let folders = Self.folderNames(leftOut)
    var variants: [Variant] = []
    let networks: [DetectorName?] = models.isEmpty ? [nil] : models
    for place in -1..<leftOut.count {
      for seed in base.run.seed..<base.run.seed + seeds {
        for model in networks {
          for method in methods {
            variants.append(
              Variant(
                name: (model.map { "\($0.rawValue)-" } ?? "") + "\(method.rawValue)-seed-\(seed)"
                  + (place < 0 ? "" : "-without-\(folders[place])"),
                method: method.rawValue, seed: seed, leftOut: place < 0 ? nil : leftOut[place],
                model: model?.rawValue))
          }
        }
      }
    }
    self.variants = variants
  }

  /// Makes sure, before any data are opened, that every network can be trained at the configuration's
  /// crop, from its weights and with every method.
  ///
  /// - Throws: `ConfigurationError` that names the network, and the method.
  static func check(
    _ base: Configuration, methods: [ErasingMethodName], models: [DetectorName]
  ) throws(ConfigurationError) {
    for model in models where !model.crops.contains(base.data.crop) {
      throw ConfigurationError(
        place: "--models",
        problem: "\(model.rawValue) takes crops of \(model.cropsText) pixels, not the "
          + "\(base.data.crop) of data.crop, which all networks share: set data.crop, or leave "
          + "\(model.rawValue) out")
    }
    if models.count > 1, let weights = base.model.weights {
      throw ConfigurationError(
        place: "--models",
        problem: "model.weights is \(printable(weights)), which is one network's, so "
          + "\(models.count) can't begin from it: leave it out (--set model.weights=null)")
    }
    for model in models.isEmpty ? [base.model.name] : models {
      var configuration = base
      configuration.model.name = model
      if let problem = configuration.model.problem {
        throw ConfigurationError(place: "--models", key: problem.key, problem: problem.text)
      }
      for method in methods {
        guard let problem = configuration.problem(with: method) else { continue }
        throw ConfigurationError(place: "--methods", problem: problem)
      }
    }
  }

  /// What a variant is trained with.
  public func configuration(of variant: Variant) -> Configuration {
    var configuration = base
    configuration.run.directory = "\(output)/runs"
    configuration.run.name = variant.name
    configuration.run.seed = variant.seed
    configuration.augmentation.method = .init(rawValue: variant.method)!
    if let model = variant.model { configuration.model.name = DetectorName(rawValue: model)! }
    if let leftOut = variant.leftOut, !base.data.excludeMethods.contains(leftOut) {
      configuration.data.excludeMethods.append(leftOut)
    }
    return configuration
  }

  /// Names of manipulation methods as parts of a folder's name, all different.
  static func folderNames(_ methods: [String]) -> [String] {
    var taken: Set<String> = []
    return methods.enumerated().map { place, method in
      let plain = String(
        String.UnicodeScalarView(
          method.unicodeScalars.prefix(80).map {
            $0.properties.isAlphabetic || $0.properties.numericType != nil
              || "._-+=@".contains(
                Character($0))
              ? $0 : "_"
          }))
      let name = taken.insert(plain).inserted ? plain : "\(plain)-\(place)"
      taken.insert(name)
      return name
    }
  }
}

/// The conditions under which a comparison tests every detector, besides the images as they are.
public enum ComparisonConditions {
  public static let degradations: [Degradation] = [
    .jpeg(quality: 90), .jpeg(quality: 70), .jpeg(quality: 50), .jpeg(quality: 30),
    .blur(sigma: 0.5), .blur(sigma: 1), .blur(sigma: 2),
    .noise(sigma: 2), .noise(sigma: 5), .noise(sigma: 10),
    .resize(scale: 0.75), .resize(scale: 0.5),
  ]
}
