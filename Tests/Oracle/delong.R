# Golden values for DeLong's test from pROC, a published program (Robin, Turck, Hainard, Tiberti, Lisacek,
# Sanchez and Müller, "pROC: an open-source package for R and S+ to analyze and compare ROC curves", BMC
# Bioinformatics 12, 2011): nothing that was written for rfm computes them.
#
#     Rscript Tests/Oracle/delong.R
#
# Writes Tests/EvaluationTests/Golden/delong.json. Needs R with pROC: Debian's r-base-core and
# r-cran-proc.

suppressPackageStartupMessages(library(pROC))

# Two raters of five grades, so that most scores are tied, and two detectors with few ties.
cases <- list(
  list(
    labels = c(
      1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1,
      1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1),
    first = c(
      5, 5, 5, 5, 1, 5, 3, 4, 1, 2, 1, 1, 1, 3, 4, 5, 5, 2, 1, 1, 3, 1, 1, 1, 1, 5, 1, 3, 3, 4, 5,
      3, 5, 5, 4, 1, 5, 3, 4, 2, 2, 1, 4, 3, 2, 4, 1, 5),
    second = c(
      5, 5, 2, 3, 3, 5, 4, 1, 3, 1, 3, 5, 1, 4, 3, 4, 3, 4, 3, 5, 5, 2, 3, 1, 2, 5, 3, 5, 2, 4, 5,
      4, 2, 3, 5, 4, 5, 3, 4, 4, 1, 3, 1, 2, 3, 1, 1, 5)),
  list(
    labels = c(
      1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1,
      1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0),
    first = c(
      4.1, -0.2, 2.2, 2.7, 0.1, -0.1, 0.4, 3.1, -0.5, 0.7, 0.2, 3.1, -1.3, -1.8, 1.5, 2.8, 1.5,
      0.6, -0.7, -1.1, 0.4, 0.9, -1.8, -2, -0.3, 0.2, 0, 1.7, 1.2, 1.7, 0.9, -1.1, 2.3, 0.5, 3.4,
      0.8, -0.6, 1.4, 0.9, -1.4, 1.2, 0.7, -0.7, 4.1, 1.2, -1.2, 0.8, 2.4, -0.4, 0.7, -1.2, 1.9,
      0, -0.9, -0.5, 1.5, -1.4, 0.5, 2.9, -0.2),
    second = c(
      1.9, -0.2, -0.9, -1.4, 0.1, 0.9, -2.1, 3, -1.2, -0.7, 0.1, 1.6, 1.3, -0.3, -1.1, 2.6, -0.6,
      -0.9, -0.2, -1.7, 0.2, 1, 1.8, -1.1, -1.1, 1.1, 1.7, 0.4, 0.9, 3.5, 0.6, 1, 1.6, 1.9, 0.3,
      1.2, -0.3, 1.6, 1, -0.1, 0.9, 2.7, 0, 0.9, 0.6, -1.5, 1.1, 0.9, 0.1, 0.6, -1.4, 2.9, 1.1,
      -1.9, -1.1, 0, -0.1, -1.1, 1.5, -1.6)))

numbers <- function(values, format = "%.17g") {
  paste0("[", paste(sprintf(format, values), collapse = ","), "]")
}

compare <- function(case) {
  curve <- function(scores) {
    roc(case$labels, scores, levels = c(0, 1), direction = "<", quiet = TRUE)
  }
  first <- curve(case$first)
  second <- curve(case$second)
  test <- roc.test(first, second, method = "delong", paired = TRUE)
  shared <- pROC::cov(first, second, method = "delong")
  sprintf(
    paste0(
      '{"labels":%s,"first":%s,"second":%s,"aucs":%s,"variances":%s,"covariance":%.17g,',
      '"z":%.17g,"p":%.17g,"interval":%s}'),
    numbers(case$labels), numbers(case$first, "%g"), numbers(case$second, "%g"),
    numbers(c(auc(first), auc(second))),
    numbers(c(pROC::var(first, method = "delong"), pROC::var(second, method = "delong"))),
    shared, test$statistic, test$p.value, numbers(test$conf.int))
}

script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
path <- file.path(dirname(script), "..", "EvaluationTests", "Golden", "delong.json")
version <- packageDescription("pROC")
writeLines(
  sprintf(
    '{"program":"pROC %s of %s, in %s","source":"Robin et al., BMC Bioinformatics 12:77, 2011","cases":[%s]}',
    version$Version, version$Repository, R.version.string,
    paste(vapply(cases, compare, ""), collapse = ",")),
  path)
cat(path, file.size(path), "\n")
