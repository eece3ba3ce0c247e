/*-------------------------------------------------------------------------
 *
 * statistics.h
 *		The statistics of experiments.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_STATISTICS_H
#define LEADSCORE_STATISTICS_H

extern double leadscore_normal_tail(double z);
extern double leadscore_normal_quantile(double p);
extern double leadscore_chi_square_tail(double x, int df);
extern double leadscore_beta_greater(double a1, double b1, double a2, double b2);
extern double leadscore_beta_loss(double a1, double b1, double a2, double b2);
extern double leadscore_sequential_p(double difference, double variance, double effect);
extern double leadscore_sequential_margin(double variance, double effect, double alpha);
extern double leadscore_ratio_chi_square(const double *counts, const double *weights, int n);
extern double leadscore_ratio_log_bayes(const double *counts, const double *weights, int n);

#endif							/* LEADSCORE_STATISTICS_H */
