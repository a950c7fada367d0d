import Configuration
import ForgeryMining
import Foundation
import Images

/// What a comparison trains: every augmentation method with every seed, and the same again without
/// each manipulation method that is left out.
///
/// Variants differ in `augmentation.method`, `run.seed` and `data.exclude_methods` alone. Those with
/// the same seed begin from the same weights and see the same images in the same order, cropped and
/// flipped alike; only what is erased differs.
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

    public init(name: String, method: String, seed: Int, leftOut: String?) {
      self.name = name
      self.method = method
      self.seed = seed
      self.leftOut = leftOut
    }

    enum CodingKeys: String, CodingKey {
      case name, method, seed
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
  ///   - output: the comparison's folder; runs go into `runs` below it.
  public init(
    _ base: Configuration, methods: [ErasingMethodName], seeds: Int,
    leftOut: [String], output: String
  ) {
    precondition(!methods.isEmpty && seeds > 0, "a comparison has methods and seeds")
    self.base = base
    self.output = output
    let folders = Self.folderNames(leftOut)
    var variants: [Variant] = []
    for place in -1..<leftOut.count {
      for seed in base.run.seed..<base.run.seed + seeds {
        for method in methods {
          variants.append(
            Variant(
              name: "\(method.rawValue)-seed-\(seed)"
                + (place < 0 ? "" : "-without-\(folders[place])"),
              method: method.rawValue, seed: seed, leftOut: place < 0 ? nil : leftOut[place]))
        }
      }
    }
    self.variants = variants
  }

  /// Why one of the methods can't be compared with this detector; nil where all can.
  public var problem: String? {
    variants.lazy.compactMap { variant in
      ErasingMethodName(rawValue: variant.method).flatMap { base.problem(with: $0) }
    }.first
  }

  /// What a variant is trained with.
  public func configuration(of variant: Variant) -> Configuration {
    var configuration = base
    configuration.run.directory = "\(output)/runs"
    configuration.run.name = variant.name
    configuration.run.seed = variant.seed
    configuration.augmentation.method = .init(rawValue: variant.method)!
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
