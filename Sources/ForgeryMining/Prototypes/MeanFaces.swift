/// The mean image of each manipulation method: the face that its prototype is laid over.
///
/// Faces are cut alike, so that their mean still shows eyes, nose and mouth; what a prototype
/// highlights can then be named.
public struct MeanFaces: Equatable, Sendable {
  /// The manipulation methods, in the order of `images`; no two alike.
  public var methods: [String]
  /// Rows of an image.
  public var height: Int
  /// Columns of an image.
  public var width: Int
  /// The means, rounded, `[methods, height, width, 3]`, 0…255.
  public var images: [UInt8]

  public init(methods: [String], height: Int, width: Int, images: [UInt8]) {
    precondition(
      images.count == methods.count * height * width * 3,
      "MeanFaces: expected \(methods.count) images of \(height)×\(width)×3, got \(images.count) "
        + "values")
    self.methods = methods
    self.height = height
    self.width = width
    self.images = images
  }

  /// The mean image of a method, `[height, width, 3]`; nil if there is none of it.
  public func image(_ method: String) -> ArraySlice<UInt8>? {
    let size = height * width * 3
    return methods.firstIndex(of: method).map { images[$0 * size..<($0 + 1) * size] }
  }
}

/// Sums of images, from which mean faces are made.
///
/// Sums are whole numbers: those of several ranks add up exactly, in any order.
public struct MeanFaceAccumulator: Sendable {
  /// The manipulation methods; the index of a method is its place here.
  public let methods: [String]
  /// Rows of an image.
  public let height: Int
  /// Columns of an image.
  public let width: Int
  /// Sums of the pixels, `[methods, height, width, 3]`.
  public var sums: [Int64]
  /// Images added, `[methods]`.
  public var counts: [Int64]

  /// An accumulator with nothing in it.
  public init(methods: [String], height: Int, width: Int) {
    self.methods = methods
    self.height = height
    self.width = width
    sums = [Int64](repeating: 0, count: methods.count * height * width * 3)
    counts = [Int64](repeating: 0, count: methods.count)
  }

  /// Adds the part of an image that starts at (`top`, `left`).
  ///
  /// - Parameters:
  ///   - image: `[rows, imageWidth, 3]`, 0…255.
  ///   - imageWidth: columns of the image.
  ///   - method: index of the method that made it.
  public mutating func add(
    _ image: UnsafeBufferPointer<UInt8>, imageWidth: Int, top: Int, left: Int, method: Int
  ) {
    precondition(
      top >= 0 && left >= 0 && left + width <= imageWidth
        && image.count >= (top + height) * imageWidth * 3,
      "MeanFaceAccumulator: expected a part of \(height)×\(width) at (\(top), \(left)) inside the "
        + "image")
    precondition(
      methods.indices.contains(method),
      "MeanFaceAccumulator: expected a method below \(methods.count), got \(method)")
    let start = method * height * width * 3
    sums.withUnsafeMutableBufferPointer { sums in
      for row in 0..<height {
        let from = ((top + row) * imageWidth + left) * 3
        let to = start + row * width * 3
        for value in 0..<width * 3 { sums[to + value] += Int64(image[from + value]) }
      }
    }
    counts[method] += 1
  }

  /// The means, for the methods of which there is at least one image; the others are left out.
  public func means() -> MeanFaces {
    let size = height * width * 3
    let seen = methods.indices.filter { counts[$0] > 0 }
    var images: [UInt8] = []
    images.reserveCapacity(seen.count * size)
    for method in seen {
      let count = counts[method]
      for value in method * size..<(method + 1) * size {
        images.append(UInt8((2 * sums[value] + count) / (2 * count)))
      }
    }
    return MeanFaces(
      methods: seen.map { methods[$0] }, height: height, width: width, images: images)
  }
}
