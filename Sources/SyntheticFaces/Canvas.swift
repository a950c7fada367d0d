/// A small RGB raster of floats that faces are drawn on and forged in.
///
/// Pixels are stored row by row; lanes 0, 1 and 2 of a pixel are red, green and blue, lane 3 is
/// unused and kept at 0. The renderer works in linear light (about 0…1), everything after the camera
/// in display values (0…255, gamma-encoded).
struct Canvas: Sendable {
  let width: Int
  let height: Int
  /// `height * width` pixels.
  var pixels: [SIMD4<Float>]

  init(width: Int, height: Int, fill: SIMD4<Float> = .zero) {
    precondition(width > 0 && height > 0, "Canvas: expected a positive size")
    self.width = width
    self.height = height
    pixels = [SIMD4<Float>](repeating: fill, count: width * height)
  }

  /// The pixel at (x, y); coordinates beyond the border repeat the border.
  @inline(__always)
  func clamped(_ x: Int, _ y: Int) -> SIMD4<Float> {
    pixels[min(max(y, 0), height - 1) * width + min(max(x, 0), width - 1)]
  }

  /// Bilinear sample at pixel coordinates, where (0, 0) is the centre of the first pixel.
  @inline(__always)
  func sample(_ x: Float, _ y: Float) -> SIMD4<Float> {
    let fx = x.rounded(.down)
    let fy = y.rounded(.down)
    let x0 = Int(fx)
    let y0 = Int(fy)
    let tx = x - fx
    let ty = y - fy
    let top = clamped(x0, y0) * (1 - tx) + clamped(x0 + 1, y0) * tx
    let bottom = clamped(x0, y0 + 1) * (1 - tx) + clamped(x0 + 1, y0 + 1) * tx
    return top * (1 - ty) + bottom * ty
  }

  /// Mean over blocks of `factor` × `factor` pixels.
  func reduced(by factor: Int) -> Canvas {
    precondition(
      width % factor == 0 && height % factor == 0, "Canvas: expected a size divisible by \(factor)")
    if factor == 1 { return self }
    var result = Canvas(width: width / factor, height: height / factor)
    let scale = 1 / Float(factor * factor)
    let rowLength = width
    let outWidth = result.width
    let outHeight = result.height
    pixels.withUnsafeBufferPointer { source in
      result.pixels.withUnsafeMutableBufferPointer { target in
        for y in 0..<outHeight {
          for x in 0..<outWidth {
            var sum = SIMD4<Float>.zero
            for j in 0..<factor {
              let base = (y * factor + j) * rowLength + x * factor
              for i in 0..<factor { sum += source[base + i] }
            }
            target[y * outWidth + x] = sum * scale
          }
        }
      }
    }
    return result
  }

  /// Resampled to another size with half-pixel centres, bilinear, without antialiasing.
  func resampled(width newWidth: Int, height newHeight: Int) -> Canvas {
    var result = Canvas(width: newWidth, height: newHeight)
    let sx = Float(width) / Float(newWidth)
    let sy = Float(height) / Float(newHeight)
    for y in 0..<newHeight {
      let fy = (Float(y) + 0.5) * sy - 0.5
      for x in 0..<newWidth {
        result.pixels[y * newWidth + x] = sample((Float(x) + 0.5) * sx - 0.5, fy)
      }
    }
    return result
  }

  /// Gaussian blur, separable, borders repeated. `sigma` ≤ 0.05 returns the canvas as it is.
  func blurred(sigma: Float) -> Canvas {
    if sigma <= 0.05 { return self }
    let kernel = gaussianKernel(sigma: sigma)
    let radius = kernel.count / 2
    var rows = self
    var result = self
    let w = width
    let h = height
    pixels.withUnsafeBufferPointer { source in
      rows.pixels.withUnsafeMutableBufferPointer { target in
        for y in 0..<h {
          let base = y * w
          for x in 0..<w {
            var sum = SIMD4<Float>.zero
            if x >= radius && x + radius < w {
              for k in 0..<kernel.count { sum += source[base + x + k - radius] * kernel[k] }
            } else {
              for k in 0..<kernel.count {
                sum += source[base + min(max(x + k - radius, 0), w - 1)] * kernel[k]
              }
            }
            target[base + x] = sum
          }
        }
      }
    }
    rows.pixels.withUnsafeBufferPointer { source in
      result.pixels.withUnsafeMutableBufferPointer { target in
        for y in 0..<h {
          for x in 0..<w {
            var sum = SIMD4<Float>.zero
            for k in 0..<kernel.count {
              sum += source[min(max(y + k - radius, 0), h - 1) * w + x] * kernel[k]
            }
            target[y * w + x] = sum
          }
        }
      }
    }
    return result
  }

  /// Pixels rounded to bytes, `[height, width, 3]`.
  func bytes() -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: width * height * 3) { out, count in
      for i in 0..<(width * height) {
        let p = pixels[i].clamped(lowerBound: .zero, upperBound: SIMD4(repeating: 255))
        out[i * 3] = UInt8(p.x + 0.5)
        out[i * 3 + 1] = UInt8(p.y + 0.5)
        out[i * 3 + 2] = UInt8(p.z + 0.5)
      }
      count = width * height * 3
    }
  }
}

/// Weights of a normalised Gaussian, cut at three standard deviations.
func gaussianKernel(sigma: Float) -> [Float] {
  let radius = max(1, Int((3 * sigma).rounded(.up)))
  var kernel = [Float](repeating: 0, count: 2 * radius + 1)
  var sum: Float = 0
  for k in 0..<kernel.count {
    let d = Float(k - radius) / sigma
    kernel[k] = exponential(-0.5 * d * d)
    sum += kernel[k]
  }
  for k in 0..<kernel.count { kernel[k] /= sum }
  return kernel
}
