/// Class Activation Map (CAM): where the evidence for a class lies in the last feature map.
///
/// Zhou, Khosla, Lapedriza, Oliva & Torralba, "Learning Deep Features for Discriminative
/// Localization", CVPR 2016, section 2. In a network that ends in global average pooling and a
/// linear layer, the logit of class k is (bias aside) the mean over positions of
///
///     CAM_k[i, j] = Σ_c w[k, c] · feature[i, j, c]
///
/// The map has the size of the last feature map; upsample it with `resizeBilinear` to lay it over
/// the image. What pulls towards fake rather than real is CAM_fake − CAM_real, which by linearity
/// is the map of the weights w[fake] − w[real].
///
/// - Parameters:
///   - features: the input of the global average pooling, after its activation function,
///     `[height, width, channels]`.
///   - height: rows of the features.
///   - width: columns of the features.
///   - channels: channels of the features.
///   - weights: the class's row of the linear layer, `[channels]`, or a difference of two rows.
///   - map: receives the map, `[height, width]`.
public func classActivationMap(
  features: UnsafeBufferPointer<Float>, height: Int, width: Int, channels: Int,
  weights: UnsafeBufferPointer<Float>, into map: UnsafeMutableBufferPointer<Float>
) {
  precondition(
    features.count == height * width * channels,
    "classActivationMap: expected features of \(height)×\(width)×\(channels) values, "
      + "got \(features.count)")
  precondition(
    weights.count == channels,
    "classActivationMap: expected \(channels) weights, got \(weights.count)")
  precondition(
    map.count == height * width,
    "classActivationMap: expected a map of \(height)×\(width) values, got \(map.count)")
  for pixel in 0..<height * width {
    var sum = 0.0
    for channel in 0..<channels {
      sum += Double(weights[channel]) * Double(features[pixel * channels + channel])
    }
    map[pixel] = Float(sum)
  }
}

/// The Class Activation Map for fake against real, CAM_fake − CAM_real, at the size of the image.
///
/// - Parameters:
///   - features: the input of the global average pooling, `[height, width, channels]`.
///   - height: rows of the features.
///   - width: columns of the features.
///   - channels: channels of the features.
///   - classifier: the linear layer's weights, `[2, channels]`, the row of real first.
///   - imageHeight: rows of the image.
///   - imageWidth: columns of the image.
/// - Returns: `[imageHeight, imageWidth]`, bilinearly upsampled.
public func classActivationMap(
  features: [Float], height: Int, width: Int, channels: Int, classifier: [Float],
  imageHeight: Int, imageWidth: Int
) -> [Float] {
  precondition(
    classifier.count == 2 * channels,
    "classActivationMap: expected two rows of \(channels) weights, got \(classifier.count) values")
  let difference = (0..<channels).map { classifier[channels + $0] - classifier[$0] }
  var coarse = [Float](repeating: 0, count: height * width)
  var map = [Float](repeating: 0, count: imageHeight * imageWidth)
  features.withUnsafeBufferPointer { features in
    difference.withUnsafeBufferPointer { weights in
      coarse.withUnsafeMutableBufferPointer {
        classActivationMap(
          features: features, height: height, width: width, channels: channels, weights: weights,
          into: $0)
      }
    }
  }
  coarse.withUnsafeBufferPointer { coarse in
    map.withUnsafeMutableBufferPointer {
      resizeBilinear(
        coarse, height: height, width: width, into: $0, height: imageHeight, width: imageWidth)
    }
  }
  return map
}
